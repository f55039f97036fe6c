"""The pages as text: their figures are the evaluation's, and nothing that was read off an image becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from ocrlty_pipeline.evaluation.comparison.compare import Side, compare
from ocrlty_pipeline.records import Violation
from ocrlty_pipeline.report.comparison_page import ComparedRuns, TaskTexts, comparison_page
from ocrlty_pipeline.report.evaluation_page import EvaluatedRun, evaluation_page
from ocrlty_pipeline.report.links import Pictures
from ocrlty_pipeline.report.wording import share, verdict
from tests.pipeline.report.documents import batch, evaluated, item

TRUTH = {
    "a.jpg": {"company": "Kopi Maju", "total": "8.50", "menu": [{"nm": "Nasi"}]},
    "b.jpg": {"company": "Kopi Maju", "total": "9.00", "menu": [{"nm": "Teh"}]},
    "c.jpg": {"company": "Roti", "total": "1.00"},
}
ANSWERS = {
    "a.jpg": {"company": "Kopi Maju", "total": "RM 8.50", "menu": [{"nm": "Nasi"}]},
    "b.jpg": {"company": "Kopi Naju", "total": "9.00", "menu": [{"nm": "Teh"}, {"nm": "Kopi"}]},
    "c.jpg": None,
}


class Parsed(HTMLParser):
    """Rows of all tables as text, the tags in order, and the page's data."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags, self.texts, self._last, self._data = [], [], [], ("", {}), ""
        self._in_cell = False
        self.feed(page.decode())
        self.data = json.loads(self._data)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._last = (tag, dict(attributes))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_data(self, text):
        tag, attributes = self._last
        if tag == "script" and attributes.get("id") == "data":
            self._data += text
        elif tag not in ("script", "style"):
            self.texts.append(text)
            if self._in_cell:
                self.rows[-1][-1] += text

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def row(self, name):
        return next([cell.strip() for cell in row[1:]] for row in self.rows if row and row[0].strip() == name)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def page_of(answers=ANSWERS, truth=TRUTH, pictures=None, **changes):
    run = batch([item(file, answer) for file, answer in answers.items()], **changes)
    evaluation = evaluated(run, truth)
    return evaluation, evaluation_page(
        EvaluatedRun.of(evaluation, run, {"a.jpg": 1000}), pictures or Pictures("../../")
    )


def test_every_figure_on_the_page_is_the_evaluations():
    evaluation, page = page_of()
    shown = Parsed(page)
    for path, score in evaluation.fields.items():
        wrong = score.mismatch + score.canon_error + score.type_mismatch
        counts = [str(n) for n in (score.support, score.matched, wrong, score.pred_missing, score.gt_missing)]
        f1, _bar, *rest = shown.row(path)
        assert f1 == share(score.f1)
        assert rest == [*counts, *(share(value) for value in (score.precision, score.recall, score.accuracy))]
    estimates = evaluation.summary.estimates
    assert shown.row("Documents all right")[:2] == ["33.3%", "6.1 to 79.2"]
    assert shown.row("Field F1 (micro)")[0] == share(estimates.micro_f1.value)
    assert shown.row("ANLS*")[0] == share(estimates.anls.value)
    assert shown.row("backend_error") == ["1", "no answer"]
    assert all(sentence in shown.text for sentence in verdict(evaluation))
    assert verdict(evaluation)[0] == "1 of 3 documents is read without a fault (33.3%)."


def test_the_gallery_holds_each_fault_with_both_values_and_leaves_out_what_is_right():
    _, page = page_of()
    data = Parsed(page).data
    by_file = {document["file"]: document for document in data["documents"]}
    assert list(by_file) == ["b.jpg", "c.jpg"]
    leaves = {(data["fields"][field], kind): rest for _, field, kind, *rest in by_file["b.jpg"]["leaves"]}
    assert leaves["company", "mismatch"] == ["Kopi Maju", [["Kopi Naju"]]]
    assert leaves["menu[].nm", "gt_missing"] == [None, [["Kopi"]]]
    assert by_file["c.jpg"]["errors"] == [["backend_error", "no answer"]]


def test_an_image_that_fails_a_check_is_shown_though_all_its_values_are_as_expected():
    violation = Violation(check="total_adds_up", message="5.00 is not 8.50", paths=["total"])
    line = item("a.jpg", ANSWERS["a.jpg"]).model_copy(update={"violations": [violation]})
    run = batch([line])
    evaluation = evaluated(run, TRUTH)
    shown = Parsed(evaluation_page(EvaluatedRun.of(evaluation, run, {}), Pictures("")))
    assert [document["checks"] for document in shown.data["documents"]] == [[["total_adds_up", "5.00 is not 8.50"]]]
    assert shown.row("total_adds_up") == ["3", "1", "5.00 is not 8.50"]


def test_the_same_evaluation_gives_the_same_bytes():
    run = batch([item(file, answer) for file, answer in ANSWERS.items()])
    shown = EvaluatedRun.of(evaluated(run, TRUTH), run, {"a.jpg": 1000})
    assert evaluation_page(shown, Pictures("../../")) == evaluation_page(shown, Pictures("../../"))


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "<!--<script>",
            "'\"><img src=x onerror=alert(1)>",
            "</title><svg onload=alert(1)>",
            "{{ 7 * 7 }}",
            "\u2028\u2029\x00\ud800",
            "]]>&lt;&amp;",
        ]
    ),
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=40)
def test_no_text_from_outside_becomes_markup(file, value, message, model):
    def tags_and_data(file, value, message, model):
        lines = [item(f"{file}.jpg", {"company": value, "total": 7}), item("failed.jpg", None, message=message)]
        run = batch(lines, model_id=model, run_id=f"run-{model}", image_set=f"set-{value}")
        truth = {f"{file}.jpg": {"company": f"{value}!", "total": value}, "failed.jpg": {"company": value or "x"}}
        evaluation = evaluated(run, truth).model_copy(update={"gt_without_image": [value]})
        parsed = Parsed(evaluation_page(EvaluatedRun.of(evaluation, run, {}), Pictures("../../")))
        return parsed.tags, parsed.data

    tags, data = tags_and_data(file, value, message, model)
    assert tags.count("script") == 2
    assert set(tags) <= set(tags_and_data("plain", "text", "words", "model")[0]) | {"rect"}
    printable = file.encode("utf-8", "replace").decode()
    assert data["documents"][0]["file"] == f"{printable}.jpg"


def test_the_policy_allows_this_pages_script_and_style_and_nothing_else():
    _, page = page_of()
    html = page.decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(src|href)=.?(https?:)?//", html)


def test_a_page_stays_below_3_mb_and_says_what_it_leaves_out():
    answers = {f"{i:05}.jpg": {"company": "<" * 500, "total": f"{i}<>", "menu": []} for i in range(2500)}
    truth = {file: {"company": ">" * 500, "total": "1.00", "menu": []} for file in answers}
    link = "previews/local/ab/" + "0" * 64 + ".jpg"
    _, page = page_of(answers, truth, Pictures("../../", dict.fromkeys(answers, link), dict.fromkeys(answers, link)))
    shown = Parsed(page)
    assert len(page) < 3_000_000
    number = len(shown.data["documents"])
    assert 0 < number < 2500
    assert f"the first {number} documents of 2,500 documents" in shown.text


def compared(texts, **changes):
    runs = [
        batch([item(f, a) for f, a in answers.items()], **own)
        for answers, own in zip(
            ({**TRUTH, "b.jpg": ANSWERS["b.jpg"]}, {**TRUTH, "c.jpg": None}),
            ({"run_id": "old"}, {"run_id": "new", **changes}),
            strict=True,
        )
    ]
    sides = [Side(evaluated(run, TRUTH), {i.file: i.parsed for i in run.items}) for run in runs]
    comparison = compare(*sides)
    page = comparison_page(ComparedRuns.of(comparison, tuple(runs), texts), Pictures("../../"))
    return comparison, Parsed(page)


def test_a_comparison_shows_its_verdict_and_what_was_fixed_and_broken():
    comparison, shown = compared((TaskTexts(None, None), TaskTexts(None, None)))
    assert comparison.words in shown.text
    assert {d["file"]: d["document"] for d in shown.data["documents"]} == {"b.jpg": "fixed", "c.jpg": "broken"}
    (company,) = (leaf for leaf in shown.data["documents"][0]["leaves"] if shown.data["fields"][leaf[1]] == "company")
    assert company[2:] == ["fixed", "Kopi Maju", [["Kopi Naju", "mismatch"], ["Kopi Maju", "matched"]]]
    assert shown.row("company")[1:3] == [share(f.f1.a) for f in comparison.fields if f.field == "company"] + [
        share(f.f1.b) for f in comparison.fields if f.field == "company"
    ]
    assert "1 document fixed" in shown.text
    assert "1 document broken" in shown.text


def test_a_comparison_shows_the_lines_of_prompt_and_schema_that_differ():
    old, new = TaskTexts("Read it.\nAs <printed>.", {"a": 1}), TaskTexts("Read it.\nIn cents.", {"a": 2})
    _, shown = compared((old, new), prompt_sha256="c" * 64, schema_sha256="d" * 64)
    assert "A − As <printed>. B + In cents." in shown.text
    assert 'A − "a": 1 B + "a": 2' in shown.text
    _, without = compared((TaskTexts(None, None), new), prompt_sha256="c" * 64)
    assert "The prompts differ; the text of one was not kept" in without.text
