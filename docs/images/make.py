"""Take the pictures of docs/ui.md: `python -m docs.images.make`, some five minutes; needs Chromium.

It starts the whole stack in a folder of its own, draws receipts, imports, extracts and evaluates them, and looks at the
UI with a headless browser. With `--url` it looks at a stack that is running already.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx2
from PIL import Image

from examples.make_receipts import make_receipts
from tests.support.chromium import Page, chromium
from tests.support.service import free_port
from tests.support.waiting import wait_until

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
OCRLTY = [sys.executable, "-m", "ocrlty_pipeline.cli"]
SETS = ("march", "april", "may")
RECEIPTS_EACH = 8
TASK = "receipt_fields_v1"
# Alt-E expands the groups of the graph, Ctrl-Space completes.
LAST_LINE = ".CodeMirror-code > div:nth-child(5) .CodeMirror-line"
EXPAND_ALL, COMPLETE = (1, "KeyE", 69), (2, "Space", 32)
LOCATION = "ocrlty_pipeline"
WIDTH, WIDE, HEIGHT = 1280, 1600, 720
# What the UI still draws and moves when everything is there.
SETTLE_S = 2.5
COLOURS = 128


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack, seen from here."""

    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        answer = httpx2.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).raise_for_status()
        told = answer.json()
        assert "errors" not in told, told["errors"]
        return told["data"]

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Runs, the newest first."""
        query = """query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs {
            results { runId status jobName tags { key value } } } } }"""
        found: list[dict[str, Any]] = self.ask(query, filter=filters)["runsOrError"]["results"]
        return found

    def report(self) -> str:
        """Where the latest evaluation says that its page is."""
        query = """{ assetOrError(assetKey: {path: ["evaluation"]}) { ... on Asset { assetMaterializations(limit: 1) {
            metadataEntries { label ... on UrlMetadataEntry { url } } } } } }"""
        (made,) = self.ask(query)["assetOrError"]["assetMaterializations"]
        return next(entry["url"] for entry in made["metadataEntries"] if entry["label"] == "report")

    def await_quiet(self) -> None:
        """Wait until no run is queued or under way."""
        active = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED"]
        wait_until(lambda: not self.runs(statuses=active), timeout_s=1200)


@contextmanager
def running_stack(work: Path) -> Iterator[tuple[Stack, dict[str, str]]]:
    """`ocrlty up` in a folder; and the environment of commands beside it."""
    ports = free_port(), free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "OCRLTY_HOME": str(work / "home"),
        "DATA_ROOT": str(work / "data"),
        "OCRLTY_OWNERS": "team:documents",
        "OCRLTY_URL": f"http://127.0.0.1:{ports[1]}",
    }
    with (work / "up.log").open("wb") as log:
        command = [*OCRLTY, "up", "--port", str(ports[0]), "--api-port", str(ports[1])]
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)
    try:
        stack = Stack(f"http://127.0.0.1:{ports[0]}")
        wait_until(lambda: answers(stack), timeout_s=180)
        yield stack, environment
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def answers(stack: Stack) -> bool:
    try:
        return httpx2.get(f"{stack.url}/server_info", timeout=2).is_success
    except httpx2.TransportError:
        return False


def work_a_day(work: Path, stack: Stack, environment: dict[str, str]) -> None:
    """Import three sets, backfill them, set a baseline, rerun one set with other prompts, and set a schedule."""

    def ocrlty(*arguments: str) -> None:
        subprocess.run([*OCRLTY, *arguments], cwd=work, env=environment, check=True)

    for number, name in enumerate(SETS):
        folder = work / "data" / name
        make_receipts(folder, RECEIPTS_EACH, seed=number)
        ocrlty("import", str(folder / "images"), "--name", name, "--gt", str(folder / "ground_truth.json"))
    keys = ",".join(f"{name}|{TASK}" for name in SETS)
    workspace = str(ROOT / "workspace.yaml")
    ocrlty("dagster", "job", "backfill", "-j", "batch_extract", "--partitions", keys, "--noprompt", "-w", workspace)
    wait_until(lambda: len(stack.runs(pipelineName="batch_extract")) == len(SETS), timeout_s=120)
    stack.await_quiet()
    first = next(tag["value"] for tag in stack.runs(tags=MARCH)[-1]["tags"] if tag["key"] == "ocrlty/run_id")
    ocrlty("baseline", "set", "march", TASK, first)
    for words in ("Read the receipt.", "Read the receipt, digit by digit."):
        rerun(stack, {"overrides": json.dumps({"prompt": words})})
    ocrlty("schedule", "add", "march", "--task", TASK, "--cron", "0 3 * * 1")


MARCH = [{"key": "ocrlty/image_set", "value": "march"}, {"key": "ocrlty/task_id", "value": TASK}]


def rerun(stack: Stack, config: dict[str, Any]) -> None:
    """Launch `batch_rerun` as the UI does, and wait for its end."""
    launch = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename } }"""
    selector = {
        "repositoryLocationName": LOCATION,
        "repositoryName": "__repository__",
        "pipelineName": "batch_rerun",
    }
    partition = {"dagster/partition": f"march|{TASK}"}
    partition |= {"dagster/partition/image_set": "march", "dagster/partition/task": TASK}
    params = {
        "selector": selector,
        "runConfigData": {"ops": {"extractions": {"config": config}}},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in partition.items()]},
    }
    told = stack.ask(launch, params=params)["launchRun"]["__typename"]
    assert told == "LaunchRunSuccess", told
    stack.await_quiet()


@dataclass(frozen=True, slots=True)
class Picture:
    """One page, and the texts that are there once it has loaded.

    Attributes:
        click, then: the text that is clicked, and the one that is there afterwards.
        press: the element that the mouse is pressed on.
        keys: what is typed after that: modifier, code, key code.
    """

    name: str
    path: str
    text: str
    click: str = ""
    then: str = ""
    press: str = ""
    keys: tuple[int, str, int] | None = None
    width: int = WIDTH
    height: int = HEIGHT


def pictures(stack: Stack) -> list[Picture]:
    run = next(run["runId"] for run in stack.runs(tags=MARCH) if run["jobName"] == "batch_rerun")
    backfill = next(tag["value"] for run in stack.runs() for tag in run["tags"] if tag["key"] == "dagster/backfill")
    of_march = f"view=partitions&partition=march%7C{TASK}"
    config = 'ops:\n  extractions:\n    config:\n      overrides: \'{"prompt": "Read the receipt."}\'\n      s'
    launchpad = f"/locations/{LOCATION}/jobs/batch_rerun/playground/setup?{urlencode({'config': config})}"
    return [
        Picture("assets", "/asset-groups", "image_sets", keys=EXPAND_ALL, then="leaderboard", width=WIDE, height=860),
        Picture("extraction", f"/assets/extractions?{of_march}", "summary", width=WIDE, height=1000),
        Picture("evaluation", f"/assets/evaluation?{of_march}", "headline", width=WIDE, height=1000),
        Picture("checks", "/assets/evaluation?view=checks&checkDetail=no_regression", "verdict", height=860),
        Picture("plots", "/assets/evaluation?view=overview", "Plots", click="Plots", then="accuracy", height=860),
        Picture("run", f"/runs/{run}", "STEP_SUCCESS", click="View tags and config", then="ocrlty/model"),
        Picture("runs", "/runs?q%5B0%5D=tag%3Aocrlty%2Fimage_set%3Dmarch", "batch_rerun"),
        Picture("launchpad", launchpad, "Errors only", press=LAST_LINE, keys=COMPLETE, then="source_run_id"),
        Picture("backfill", f"/runs/b/{backfill}", "Partitions targeted", height=420),
        Picture("report", stack.report(), "Documents", width=1000, height=860),
        Picture("automation", "/automation", "scheduled_image_sets", height=420),
    ]


_CLICK = """(text) => [...document.querySelectorAll("button, [role=tab], a")]
    .find((element) => element.innerText.trim() === text).click()"""


def take(page: Page, stack: Stack, picture: Picture) -> None:
    page.look(picture.width, height=picture.height)
    page.open(urljoin(stack.url, picture.path))
    await_text(page, picture.text)
    if picture.click:
        time.sleep(SETTLE_S)
        page.evaluate(f"({_CLICK})({json.dumps(picture.click)})")
        await_text(page, picture.then)
    time.sleep(SETTLE_S)
    if picture.press:
        page.click(picture.press)
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    if picture.keys:
        modifier, code, number = picture.keys
        page.call(
            "Input.dispatchKeyEvent", type="rawKeyDown", modifiers=modifier, code=code, windowsVirtualKeyCode=number
        )
        await_text(page, picture.then)
        time.sleep(SETTLE_S)
    keep(page, picture.name)


def await_text(page: Page, text: str) -> None:
    wait_until(lambda: text in page.evaluate("document.body.innerText"), timeout_s=60)


def keep(page: Page, name: str) -> None:
    """The window as it looks now, in few colours."""
    raw = FOLDER / f"{name}.raw.png"
    page.screenshot(raw)
    picture = Image.open(io.BytesIO(raw.read_bytes())).convert("RGB")
    raw.unlink()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.images.make", description="Take the pictures of docs/ui.md.")
    parser.add_argument("--url", help="of Dagster's UI, where the stack is running already")
    parser.add_argument("--only", nargs="*", help="names of the pictures to take")
    given = parser.parse_args()
    if given.url:
        look(Stack(given.url), given.only)
        return
    with tempfile.TemporaryDirectory(prefix="ocrlty-tour-") as work, running_stack(Path(work)) as (stack, environment):
        work_a_day(Path(work), stack, environment)
        look(stack, given.only)


def look(stack: Stack, only: list[str] | None) -> None:
    with chromium() as page:
        for picture in pictures(stack):
            if not only or picture.name in only:
                take(page, stack, picture)
                print(f"{picture.name}.png: {(FOLDER / f'{picture.name}.png').stat().st_size} bytes")


if __name__ == "__main__":
    main()
