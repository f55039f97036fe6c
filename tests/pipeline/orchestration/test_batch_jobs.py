"""The jobs over image sets and tasks: extraction and its evaluation, reruns, owners, what becomes of inputs."""

import asyncio
import json

import pytest

from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.orchestration.code_location import resolved_job
from ocrlty_pipeline.orchestration.jobs import BATCH_EXTRACT, BATCH_RERUN, EVALUATE
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from ocrlty_pipeline.records import ExtractRecord
from ocrlty_pipeline.uploads import Upload
from tests.support.in_process import failure, own_services
from tests.support.openai_server import openai_server
from tests.support.receipts import tiny_image, tiny_images

TASK = "receipt_header_v1"
# Dagster's own way of building resources within a process.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated")


@pytest.fixture
def instance(local_instance):
    return local_instance


@pytest.fixture(scope="module")
def model():
    with openai_server() as server:
        yield server


@pytest.fixture
def services(stack_environment, model, monkeypatch):
    monkeypatch.setenv("VLLM_BASE_URL", model.base_url)
    monkeypatch.setenv("VLLM_MODEL", "test-model")
    model.reset()
    with own_services() as services:
        yield services


@pytest.fixture
def run_job(instance, services):
    """Execute a job on one partition; answers its result, whether or not it succeeded."""

    def run_job(job, image_set, *, task=TASK, evaluation=None, **config):
        register_image_set(instance, image_set)
        ops = {"extractions": {"config": config}} if job != EVALUATE else {}
        ops |= {"evaluation": {"config": evaluation}} if evaluation else {}
        key = batch_partition_key(image_set, task)
        return resolved_job(job).execute_in_process(
            {"ops": ops}, instance=instance, partition_key=key, raise_on_error=False
        )

    return run_job


def header(services, run_id):
    return asyncio.run(services.runs.load(services.runs.find(run_id)))


def items_by_file(services, run_id):
    return {item.file: item for item in header(services, run_id).items}


def test_a_folder_is_imported_and_extracted_in_one_run_which_says_whose_it_is(run_job, services, tmp_path):
    folder = tiny_images(tmp_path / "images", 3)
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture at all")
    auth = {"key_id": "alice", "role": "client", "scopes": ["extract:run"]}
    result = run_job(BATCH_EXTRACT, "set", run_id="r", images_dir=str(folder), glob="*", **auth)
    assert result.success
    run = header(services, "r")
    assert run.auth.model_dump() == auth
    assert (run.images_dir, run.glob, run.source_run_id) == (str(folder), "*", None)
    assert (run.item_count, run.ok_count) == (5, 3)
    items = items_by_file(services, "r")
    assert {file: item.error.code for file, item in items.items() if item.error} == {
        "empty.png": "image_error",
        "text.jpg": "image_error",
    }
    assert items["000.png"].input_ref.startswith("inputs/alice/")
    assert services.index.find("extract", items["000.png"].request_id).owner_key_id == "alice"
    assert services.index.latest_eval("r") is None


def test_only_as_many_images_of_a_folder_are_imported_as_are_asked_for(run_job, services, tmp_path):
    assert run_job(BATCH_EXTRACT, "set", run_id="r", images_dir=str(tiny_images(tmp_path / "i", 9)), limit=2).success
    assert header(services, "r").item_count == 2
    assert len(asyncio.run(services.image_sets.load("set")).items) == 2


def test_where_there_is_ground_truth_the_same_run_is_scored(run_job, services, tmp_path):
    folder = tiny_images(tmp_path / "images", 2)
    (tmp_path / "gt.json").write_text(json.dumps([{"image": "000.png", "total": "1.00"}]))
    truth = {"gt_path": str(tmp_path / "gt.json"), "gt_image_key": "image"}
    assert run_job(BATCH_EXTRACT, "set", run_id="r", images_dir=str(folder), **truth).success
    assert services.index.latest_eval("r") is not None
    assert run_job(BATCH_EXTRACT, "set", run_id="not-scored", evaluation={"evaluate": False}).success
    assert services.index.latest_eval("not-scored") is None


def test_a_ground_truth_of_no_image_ends_the_run_before_any_call(run_job, services, tmp_path):
    (tmp_path / "gt.json").write_text('[{"file": "elsewhere.png", "total": "1.00"}]')
    folder = tiny_images(tmp_path / "images", 2)
    result = run_job(BATCH_EXTRACT, "set", run_id="r", images_dir=str(folder), gt_path=str(tmp_path / "gt.json"))
    assert not result.success
    assert "elsewhere.png" in failure(result)
    with pytest.raises(ArtifactNotFoundError):
        services.runs.find("r")


def test_scoring_alone_still_fails_in_words_without_ground_truth(run_job, services, tmp_path):
    run_job(BATCH_EXTRACT, "set", run_id="r", images_dir=str(tiny_images(tmp_path / "images", 1)))
    result = run_job(EVALUATE, "set")
    assert not result.success
    assert "has no ground truth" in failure(result)


def test_a_rerun_pays_only_for_what_changed(run_job, services, tmp_path, model):
    folder = tiny_images(tmp_path / "images", 4)
    config = {"backend": "vllm", "key_id": "alice"}
    assert run_job(BATCH_EXTRACT, "set", run_id="first", images_dir=str(folder), **config).success
    assert model.calls().calls == 4
    source = {"source_run_id": "first", **config}

    assert run_job(BATCH_RERUN, "set", run_id="same", **source).success
    assert model.calls().calls == 4
    assert run_job(BATCH_RERUN, "set", run_id="again", **source, reuse_results=False).success
    assert model.calls().calls == 8
    assert run_job(BATCH_RERUN, "set", run_id="other", **source, overrides='{"prompt": "Read it."}').success
    assert model.calls().calls == 12
    assert run_job(BATCH_RERUN, "set", run_id="bobs", **{**source, "key_id": "bob"}).success
    assert model.calls().calls == 16
    first, same = header(services, "first"), header(services, "same")
    assert (same.source_run_id, same.reused_count, header(services, "other").reused_count) == ("first", 4, 0)
    for item, origin in zip(same.items, first.items, strict=True):
        assert (item.parsed, item.reused_from) == (origin.parsed, origin.artifact_rel)
        record = ExtractRecord.from_bytes(asyncio.run(services.store.get(item.artifact_rel)))
        assert (record.run_id, record.request_id, record.reused_from) == ("same", item.request_id, origin.artifact_rel)


def test_a_rerun_of_a_rerun_names_the_record_that_the_model_made(run_job, services, tmp_path):
    run_job(BATCH_EXTRACT, "set", run_id="a", images_dir=str(tiny_images(tmp_path / "images", 1)))
    run_job(BATCH_RERUN, "set", run_id="b", source_run_id="a")
    run_job(BATCH_RERUN, "set", run_id="c", source_run_id="b")
    (origin,), (item,) = header(services, "a").items, header(services, "c").items
    assert item.reused_from == origin.artifact_rel


def test_a_rerun_takes_the_images_of_its_run_whatever_the_set_has_become(run_job, services, tmp_path):
    folder = tiny_images(tmp_path / "images", 3)
    run_job(BATCH_EXTRACT, "set", run_id="a", images_dir=str(folder), limit=2)
    run_job(BATCH_EXTRACT, "set", run_id="b", images_dir=str(tiny_images(folder, 5)))
    assert run_job(BATCH_RERUN, "set", run_id="c", source_run_id="a", task="receipt_fields_v1").success
    run = header(services, "c")
    assert ([item.file for item in run.items], run.task_id) == (["000.png", "001.png"], "receipt_fields_v1")


def test_only_what_failed_is_run_again_also_from_such_a_rerun(run_job, services, tmp_path):
    folder = tiny_images(tmp_path / "images", 2)
    (folder / "bad.png").write_bytes(b"not an image")
    run_job(BATCH_EXTRACT, "set", run_id="a", images_dir=str(folder))
    result = run_job(BATCH_RERUN, "set", run_id="b", source_run_id="a", only_failed=True)
    assert not result.success  # its one image is still none
    assert [item.file for item in header(services, "b").items] == ["bad.png"]
    assert header(services, "b").only_failed
    run_job(BATCH_RERUN, "set", run_id="c", source_run_id="b")
    assert [item.file for item in header(services, "c").items] == ["bad.png"]
    run_job(BATCH_EXTRACT, "good", run_id="d", images_dir=str(tiny_images(tmp_path / "good", 1)))
    refused = run_job(BATCH_RERUN, "good", source_run_id="d", only_failed=True)
    assert "has no failed images" in failure(refused)


def test_inputs_of_an_upload_that_are_not_to_be_kept_go_when_the_run_has_ended(run_job, services):
    async def uploaded(name, *, kept):
        upload = Upload(services.store, "alice", kept=kept)
        for number in range(2):
            await upload.add(f"{number}.png", tiny_image(number))
        return await upload.register(name)

    passing, kept = asyncio.run(uploaded("u1", kept=False)), asyncio.run(uploaded("u2", kept=True))
    for manifest in (passing, kept):
        run_id = f"run-{manifest.name}"
        assert run_job(BATCH_EXTRACT, manifest.name, run_id=run_id, key_id="alice").success
        assert header(services, run_id).images_dir == "(upload)"
        there = [asyncio.run(services.store.exists(item.input_ref)) for item in manifest.items]
        assert there == [manifest.kept] * 2
        assert [item.input_ref is not None for item in header(services, run_id).items] == [manifest.kept] * 2
    refused = run_job(BATCH_RERUN, "u1", source_run_id="run-u1", key_id="alice")
    assert "were not kept" in failure(refused)
    assert run_job(BATCH_RERUN, "u2", source_run_id="run-u2", key_id="alice").success


def test_the_same_upload_again_under_its_run_id_is_answered_by_its_artifact(run_job, services):
    for _ in range(2):
        upload = Upload(services.store, "alice", kept=False)
        asyncio.run(upload.add("a.png", tiny_image(1)))
        asyncio.run(upload.register("u"))
        assert run_job(BATCH_EXTRACT, "u", run_id="r", key_id="alice").success
        assert not asyncio.run(services.store.exists(upload.items[0].input_ref))
    other = run_job(BATCH_EXTRACT, "u", run_id="r", key_id="bob")
    assert "is in use" in failure(other)
