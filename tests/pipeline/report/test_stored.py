"""Reports of stored runs: where they lie, what they link to, and how often they are written."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from datetime import date
from urllib.parse import unquote

import orjson
import pytest

from ocrlty_pipeline.artifacts.keys import batch_key
from ocrlty_pipeline.comparing import compare_runs
from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.image_sets import FolderLimits, FolderSource
from ocrlty_pipeline.report.stored import (
    evaluation_of,
    export_report,
    report_of_run,
    report_rel,
    write_comparison_report,
    write_report,
)
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.task_texts import keep_texts
from tests.pipeline.report.documents import batch, item
from tests.support.receipts import tiny_images

TASK = "receipt_header_v1"


@pytest.fixture
def services(tmp_path, database_url):
    settings = Settings(
        _env_file=None,
        artifacts_dir=tmp_path / "artifacts",
        s3_bucket=None,
        database_url=database_url,
        data_root=tmp_path,
    )
    services = Services(settings)
    source = FolderSource(tiny_images(tmp_path / "images", 3), tmp_path, FolderLimits(services.image_limits, 10, 10**9))
    asyncio.run(services.image_sets.import_folder("march", source))
    truth = [{"file": f"{i:03}.png", "company": "Kopi Maju", "total": "1.00"} for i in range(3)]
    asyncio.run(services.image_sets.attach_ground_truth("march", orjson.dumps(truth), source="t", image_key="file"))
    yield services
    services.engine.dispose()


def store_run(services, run_id, companies):
    """A run of the set, stored as a batch is; one company an image."""
    manifest = asyncio.run(services.image_sets.load("march"))
    task = services.tasks[TASK]
    lines = [
        item(image.file, {"company": company, "total": "1.00"}).model_copy(update={"input_ref": image.input_ref})
        for image, company in zip(manifest.items, companies, strict=True)
    ]
    made_with = {"prompt_sha256": task.prompt_sha256, "schema_sha256": task.schema_sha256}
    run = batch(lines, run_id=run_id, task_id=TASK, image_set="march", **made_with)
    asyncio.run(keep_texts(services.store, task))
    rel = batch_key(date(2026, 11, 28), run_id)
    asyncio.run(services.runs.save(rel, run.to_bytes(), run.model_dump(mode="json", exclude={"items"})))
    return services.runs.find(run_id)


def evaluate(services, run_id, companies):
    evaluation = score_batch(services, store_run(services, run_id, companies))
    save_evaluation(services, evaluation)
    return evaluation


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.decode(), re.DOTALL)[1])


def test_a_report_lies_by_day_and_its_links_lead_to_previews_and_images(services, tmp_path):
    evaluation = evaluate(services, "run-1", ["Kopi Maju", "Kopi Naju", "Kopi"])
    rel = write_report(services, evaluation)
    assert rel == report_rel(evaluation) == f"reports/{evaluation.created_at[:10]}/{evaluation.eval_id}.html"
    page = tmp_path / "artifacts" / rel
    data = data_of(page.read_bytes())
    assert [document["file"] for document in data["documents"]] == ["001.png", "002.png"]
    for document in data["documents"]:
        assert (page.parent / data["base"] / document["preview"]).read_bytes().startswith(b"\xff\xd8\xff")
        sha256 = document["original"].rpartition("/")[2].removesuffix(".png")
        original = (page.parent / data["base"] / document["original"]).read_bytes()
        assert hashlib.sha256(original).hexdigest() == sha256


def test_a_report_is_written_once(services, tmp_path):
    evaluation = evaluate(services, "run-1", ["Kopi", "Kopi", "Kopi"])
    rel = write_report(services, evaluation)
    (tmp_path / "artifacts" / rel).write_bytes(b"as it was")
    assert report_of_run(services, "run-1") == rel
    assert asyncio.run(services.store.get(rel)) == b"as it was"


def test_a_missing_image_leaves_a_note_and_the_page_stands(services, tmp_path):
    evaluation = evaluate(services, "run-1", ["Kopi", "Kopi Maju", "Kopi Maju"])
    for file in (tmp_path / "artifacts" / "inputs").rglob("*.png"):
        file.unlink()
    data = data_of(asyncio.run(services.store.get(write_report(services, evaluation))))
    assert [document["preview"] for document in data["documents"]] == [None]


def test_a_run_without_evaluation_is_refused_with_the_way_out(services):
    store_run(services, "run-1", ["a", "b", "c"])
    with pytest.raises(ArtifactNotFoundError, match=r"no evaluation to report; .*`ocrlty import DIR --name march"):
        evaluation_of(services, "run-1")


def test_a_comparison_is_kept_by_its_content(services):
    evaluate(services, "old", ["Kopi Maju", "Kopi Naju", "Kopi"])
    evaluate(services, "new", ["Kopi Maju", "Kopi Maju", "Kopi"])
    comparison = compare_runs(services, "old", "new")
    rel = write_comparison_report(services, comparison)
    assert re.fullmatch(r"reports/2026-11-28/compare-[0-9a-f]{16}\.html", rel)
    assert write_comparison_report(services, compare_runs(services, "old", "new")) == rel
    data = data_of(asyncio.run(services.store.get(rel)))
    assert [(d["file"], d["document"], d["preview"] is not None) for d in data["documents"]] == [
        ("001.png", "fixed", True)
    ]


def test_a_page_for_elsewhere_brings_its_previews(services, tmp_path):
    evaluation = evaluate(services, "run-1", ["Kopi", "Kopi Maju", "Kopi Maju"])
    out = tmp_path / "to a friend" / "März #1.html"
    out.parent.mkdir()
    export_report(services, evaluation, out)
    data = data_of(out.read_bytes())
    (document,) = data["documents"]
    assert document["original"] is None
    assert (out.parent / unquote(data["base"]) / document["preview"]).read_bytes().startswith(b"\xff\xd8\xff")
