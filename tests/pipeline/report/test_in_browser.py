"""The page in a browser: what a person sees, clicks and reads."""

from __future__ import annotations

import pytest

from ocrlty_pipeline.report.evaluation_page import EvaluatedRun, evaluation_page
from ocrlty_pipeline.report.links import Pictures
from tests.pipeline.report.documents import batch, evaluated, item
from tests.support.chromium import EXECUTABLE, chromium
from tests.support.receipts import receipt
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium: apt install chromium")

COUNT = 60
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of 60 faulty documents: six failed, 18 of the others read the company wrong, the rest the total."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "a preview.jpg").write_bytes(receipt(["Kedai"]))
    answers = {f"{i:02}.jpg": {"company": "Kopi Maju", "total": "8.00", "menu": []} for i in range(COUNT)}
    for i, file in enumerate(answers):
        if i % 10 == 9:
            answers[file] = None
        elif i % 3 == 0:
            answers[file] = {"company": "Kopi Naju" if i else HOSTILE, "total": "8.50", "menu": []}
    run = batch([item(f, a, latency=100.0 + int(f[:2]), message=HOSTILE) for f, a in answers.items()])
    evaluation = evaluated(run, {file: {"company": "Kopi Maju", "total": "8.50"} for file in answers})
    pictures = Pictures("", {"00.jpg": "a%20preview.jpg", "01.jpg": "gone.jpg"})
    (folder / "report.html").write_bytes(evaluation_page(EvaluatedRun.of(evaluation, run, {}), pictures))
    return (folder / "report.html").as_uri()


def text(browser, selector):
    return browser.evaluate(f"document.querySelector('{selector}').innerText")


def files(browser):
    return browser.evaluate("[...document.querySelectorAll('.card h3')].map((e) => e.textContent)")


def test_the_page_loads_nothing_but_its_previews_and_runs_nothing_but_its_own_script(browser, address):
    browser.look(900)
    browser.open(address)
    assert text(browser, "#shown") == "60 of 60 documents"
    browser.evaluate("document.querySelector('#cards').scrollIntoView({behavior: 'instant'})")
    second = ".card:nth-child(2) .picture"
    wait_until(lambda: text(browser, second) == "The preview is not where this page looks for it.")
    wait_until(lambda: browser.evaluate("document.querySelector('.card img')?.complete"))
    folder = address.rpartition("/")[0]
    assert set(browser.requests) == {address, f"{folder}/a%20preview.jpg", f"{folder}/gone.jpg"}
    assert browser.evaluate("document.querySelector('.card img').naturalWidth") == 620
    assert browser.evaluate("document.title") == "march, run-1 · OCRlty"
    assert HOSTILE in browser.evaluate("document.querySelector('.predicted').textContent")
    assert not [complaint for complaint in browser.complaints if "ERR_FILE_NOT_FOUND" not in complaint]


def test_injected_markup_is_refused_by_the_policy(browser, address):
    browser.open(address)
    browser.evaluate(
        "{ const e = document.createElement('div');"
        " try { e.setAttribute('onclick', \"document.title = 'taken'\"); } catch {} e.click(); }"
    )
    assert browser.evaluate("document.title") == "march, run-1 · OCRlty"
    refused = "(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } })()"
    assert browser.evaluate(refused)


def test_a_click_on_a_field_shows_its_faults_and_the_address_keeps_the_filter(browser, address):
    browser.open(address)
    browser.click("a[href='#field=company']")
    wait_until(lambda: text(browser, "#shown") == "24 of 60 documents")
    assert (
        browser.evaluate("[...document.querySelectorAll('.card tbody th')].slice(0, 3).map((e) => e.textContent)")
        == ["company"] * 3
    )
    browser.evaluate(
        "{ const s = document.querySelector('[name=document]'); s.value = 'failed';"
        " s.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    assert text(browser, "#shown") == "6 of 60 documents"
    assert browser.evaluate("location.hash") == "#field=company&document=failed"
    browser.click("button[type=reset]")
    wait_until(lambda: text(browser, "#shown") == "60 of 60 documents")


def test_an_address_opens_with_its_filters_set(browser, address):
    browser.open(f"{address}#outcome=mismatch&search=naju&sort=slowest")
    assert text(browser, "#shown") == "17 of 60 documents"
    assert files(browser)[:3] == ["57.jpg", "54.jpg", "51.jpg"]


def test_characters_that_differ_are_marked_on_both_sides(browser, address):
    browser.open(f"{address}#search=naju")
    marks = "[...document.querySelectorAll('.card:first-child mark')].map((e) => [e.parentNode.innerText, e.innerText])"
    assert browser.evaluate(marks) == [["Kopi Maju", "M"], ["Kopi Naju", "N"]]


def test_documents_come_as_the_page_is_scrolled(browser, address):
    browser.look(900)
    browser.open(address)
    assert len(files(browser)) < COUNT

    def all_there():
        browser.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
        return len(files(browser)) == COUNT

    wait_until(all_there)


@pytest.mark.parametrize("width", [400, 900, 1500])
def test_the_page_is_never_wider_than_the_window(browser, address, width):
    browser.look(width)
    browser.open(address)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_text_stands_out_in_light_and_dark(browser, address):
    """WCAG AA: 4.5 to 1."""
    contrast = """(() => {
        const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = (c) => { const [r, g, b] = rgb(c).map((v) => v / 255)
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const behind = (e) => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } };
        return [...document.querySelectorAll("body *:not(script):not(svg *):not(.swatch)")]
            .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
            .map((e) => [light(getComputedStyle(e).color), light(behind(e)), e.className || e.tagName])
            .map(([a, b, name]) => [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), name])
            .filter(([ratio]) => ratio < 4.5);
    })()"""
    for dark in (False, True):
        browser.look(900, dark=dark)
        browser.open(address)
        assert browser.evaluate(contrast) == []
