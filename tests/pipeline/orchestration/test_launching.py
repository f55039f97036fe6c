"""Launching with nothing typed: a partition key is enough for every job, whose runs say what they worked on."""

import asyncio
import json

import dagster as dg
import pytest
from dagster._config import ConfigTypeKind

from ocrlty_pipeline.definitions import build_defs
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.code_location import resolved_job
from ocrlty_pipeline.orchestration.jobs import (
    BATCH_EXTRACT,
    BATCH_EXTRACT_SHARDED,
    BATCH_RERUN,
    EVALUATE,
    EXTRACT,
    INGEST,
)
from ocrlty_pipeline.orchestration.launch import register_image_set
from ocrlty_pipeline.orchestration.partitions import batch_partition_key
from tests.support.in_process import failure, own_services
from tests.support.openai_server import openai_server
from tests.support.receipts import tiny_images

TASK, OTHER_TASK = "receipt_header_v1", "receipt_fields_v1"
JOBS = (EXTRACT, INGEST, BATCH_EXTRACT, BATCH_EXTRACT_SHARDED, BATCH_RERUN, EVALUATE)
# Dagster's own way of building resources within a process.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated")


@pytest.fixture
def instance(local_instance):
    return local_instance


@pytest.fixture
def services(stack_environment):
    with own_services() as services:
        yield services


@pytest.fixture
def launch(instance, services):
    """Execute a job as the UI launches it: a partition key, and config only where it is given."""

    def launch(job, key=None, config=None):
        name = key.keys_by_dimension["image_set"] if isinstance(key, dg.MultiPartitionKey) else key
        if name:
            register_image_set(instance, name)
        return resolved_job(job).execute_in_process(
            config or {}, instance=instance, partition_key=key, raise_on_error=False
        )

    return launch


def tags_of(instance, result):
    tags = instance.get_run_by_id(result.run_id).tags
    names = (run_tags.IMAGE_SET, run_tags.TASK_ID, run_tags.KEY_ID, run_tags.BACKEND, run_tags.MODEL, run_tags.PROMPT)
    return tuple(tags.get(name) for name in names)


def metadata_of(result, asset):
    (made,) = result.asset_materializations_for_node(asset)
    return {name: entry.value for name, entry in made.metadata.items()}


def prompt_of(services, task):
    return services.tasks[task].prompt_sha256[:12]


def test_every_job_runs_on_a_partition_key_alone_and_says_what_it_worked_on(launch, services, instance, tmp_path):
    tiny_images(tmp_path / "march", 2)
    key, other = batch_partition_key("march", TASK), batch_partition_key("march", OTHER_TASK)

    ingested = launch(INGEST, "march")
    assert ingested.success
    assert tags_of(instance, ingested)[0] == "march"
    assert metadata_of(ingested, "image_set")["images"] == 2
    truth = json.dumps([{"file": "000.png", "total": "1.00"}, {"file": "001.png", "total": "2.00"}]).encode()
    asyncio.run(services.image_sets.attach_ground_truth("march", truth, source="test", image_key="file"))

    first = launch(BATCH_EXTRACT, key)
    assert first.success
    assert tags_of(instance, first) == ("march", TASK, "local", "mock", "mock", prompt_of(services, TASK))
    first_id = metadata_of(first, "extractions")["run_id"]

    again = launch(BATCH_RERUN, key)
    assert again.success
    told = metadata_of(again, "extractions")
    assert (told["source_run_id"], told["reused"], told["source_run"]) == (first_id, 2, first.run_id)
    through_other = launch(BATCH_RERUN, other)
    assert through_other.success
    assert metadata_of(through_other, "extractions")["source_run_id"] == told["run_id"]
    assert tags_of(instance, through_other)[1] == OTHER_TASK

    scored = launch(EVALUATE, key)
    assert scored.success
    assert metadata_of(scored, "evaluation")["scored_run"] == again.run_id

    sharded = launch(BATCH_EXTRACT_SHARDED, key)
    assert sharded.success
    assert tags_of(instance, sharded) == tags_of(instance, first)

    tried = launch(EXTRACT)
    assert tried.success
    assert tags_of(instance, tried) == (None, OTHER_TASK, "local", "mock", None, prompt_of(services, OTHER_TASK))


def test_a_set_is_imported_again_from_where_it_came_and_a_new_one_from_the_inbox(launch, services, tmp_path):
    folder = tiny_images(tmp_path / "elsewhere", 1)
    given = {"ops": {"image_set": {"config": {"images_dir": str(folder), "glob": "*.png"}}}}
    assert launch(INGEST, "march", given).success
    tiny_images(folder, 3)
    (folder / "more.jpg").write_bytes((folder / "000.png").read_bytes())
    assert launch(INGEST, "march").success
    march = asyncio.run(services.image_sets.load("march"))
    assert (march.images_dir, march.glob, march.version, len(march.items)) == (str(folder), "*.png", 2, 3)

    tiny_images(tmp_path / "inbox/april", 1)
    assert launch(INGEST, "april").success
    refused = launch(INGEST, "may")
    assert "no folder 'may'" in failure(refused)
    assert "no run yet" in failure(launch(BATCH_RERUN, batch_partition_key("april", TASK)))


def test_a_launch_from_the_webserver_carries_the_tags_before_it_starts():
    for name, key, expected in [
        (INGEST, "march", {run_tags.IMAGE_SET: "march"}),
        (BATCH_EXTRACT, f"march|{TASK}", {run_tags.IMAGE_SET: "march", run_tags.TASK_ID: TASK}),
        (BATCH_EXTRACT_SHARDED, f"march|{TASK}", {run_tags.IMAGE_SET: "march", run_tags.TASK_ID: TASK}),
    ]:
        tags = resolved_job(name).get_tags_for_partition_key(key, selected_asset_keys=None)
        assert expected.items() <= tags.items()


def test_a_model_is_told_with_what_its_tokens_cost(stack_environment, instance, tmp_path, monkeypatch):
    with openai_server() as server:
        for name, value in {
            "VLLM_BASE_URL": server.base_url,
            "VLLM_MODEL": "test-model",
            "VLLM_PRICE_IN": "2.0",
            "VLLM_PRICE_OUT": "10",
            "INFERENCE_BACKEND": "vllm",
        }.items():
            monkeypatch.setenv(name, value)
        with own_services() as services:
            register_image_set(instance, "march")
            key = batch_partition_key("march", TASK)
            config = {"images_dir": str(tiny_images(tmp_path / "march", 2))}
            run = {"ops": {"extractions": {"config": config}}}
            result = resolved_job(BATCH_EXTRACT).execute_in_process(run, instance=instance, partition_key=key)
            told = metadata_of(result, "extractions")
            header = asyncio.run(services.runs.load(services.runs.find(told["run_id"])))
            tokens = [sum(item.usage[kind] for item in header.items) for kind in ("prompt_tokens", "completion_tokens")]
            assert [told["tokens_in"], told["tokens_out"]] == tokens
            assert told["cost"] == pytest.approx((2 * tokens[0] + 10 * tokens[1]) / 1e6)
            assert tags_of(instance, result)[3:5] == ("vllm", "test-model")

            rerun = resolved_job(BATCH_RERUN).execute_in_process(instance=instance, partition_key=key)
            assert metadata_of(rerun, "extractions")["reused"] == 2
            assert "cost" not in metadata_of(rerun, "extractions")


def fields_below(config_type, path):
    """Every config field below a type, with its path."""
    if config_type.kind in (ConfigTypeKind.STRICT_SHAPE, ConfigTypeKind.PERMISSIVE_SHAPE, ConfigTypeKind.SELECTOR):
        for name, field in config_type.fields.items():
            yield f"{path}.{name}", field
            yield from fields_below(field.config_type, f"{path}.{name}")
    elif config_type.kind in (ConfigTypeKind.ARRAY, ConfigTypeKind.NONEABLE):
        yield from fields_below(config_type.inner_type, path)


@pytest.mark.parametrize("job", JOBS)
def test_every_field_is_described_and_nothing_has_to_be_typed(job):
    steps = list(resolved_job(job).all_node_defs)
    fields = [found for step in steps for found in fields_below(step.config_schema.config_type, step.name)]
    assert fields
    assert [path for path, field in fields if not field.description] == []
    # An entry of `requests` is typed, or there is none.
    assert [path for path, field in fields if field.is_required and ".requests." not in path] == []


def test_every_asset_says_what_it_is_whose_and_where_its_code_is(stack_environment, monkeypatch):
    monkeypatch.setenv("OCRLTY_OWNERS", "team:documents, ada@example.org")
    graph = build_defs().resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert len(nodes) == 6
    for node in nodes:
        assert node.group_name in {"image_sets", "extraction", "evaluation"}
        assert node.kinds
        assert list(node.owners) == ["team:documents", "ada@example.org"]
        assert len(node.description) > 80
        # `extracts` is recorded by an op, and has no code of its own.
        assert ("dagster/code_references" in node.metadata) is (node.key.to_user_string() != "extracts")
    for job in JOBS:
        assert resolved_job(job).description
