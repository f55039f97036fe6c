import pytest

from ocrlty_pipeline.errors import InputError, TaskError
from ocrlty_pipeline.overrides import Overrides
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.tasks.registry import load_tasks

TASK = load_tasks()["receipt_fields_v1"]
SCHEMA = {"type": "object", "properties": {"total": {"type": "string"}}}


def test_what_is_overridden_changes_the_tasks_digests_and_nothing_else():
    changed = Overrides(prompt="Read.", schema=SCHEMA).of_task(TASK)
    assert (changed.prompt, changed.schema, changed.task_id) == ("Read.", SCHEMA, TASK.task_id)
    assert changed.prompt_sha256 != TASK.prompt_sha256
    assert changed.schema_sha256 != TASK.schema_sha256
    assert Overrides(prompt="Read.").of_task(TASK).schema_sha256 == TASK.schema_sha256
    assert Overrides(temperature=1).of_task(TASK) is TASK


def test_the_model_and_its_parameters_are_overridden_in_the_settings():
    settings = Overrides(temperature=0.0, max_tokens=7, model="m").of_settings(
        Settings(_env_file=None, vllm_temperature=1.0)
    )
    assert (settings.vllm_temperature, settings.vllm_max_tokens, settings.vllm_model) == (0.0, 7, "m")


def test_equal_overrides_have_one_digest_and_none_have_none():
    schema = {"properties": SCHEMA["properties"], "type": "object"}
    assert Overrides(schema=SCHEMA).sha256 == Overrides(schema=schema).sha256
    assert Overrides(temperature=0.0).sha256 not in {None, Overrides().sha256}
    assert Overrides().sha256 is None


def test_they_survive_the_way_through_a_runs_config():
    overrides = Overrides(prompt="Read.", schema=SCHEMA, max_tokens=5)
    assert Overrides.from_json(overrides.to_json()) == overrides
    for text in ("[]", "{", '{"unknown": 1}', '{"temperature": "warm"}', '{"prompt": 1}'):
        with pytest.raises(InputError):
            Overrides.from_json(text)


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": " "},
        {"prompt": "x" * 100_001},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"model": ""},
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        Overrides(**values)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/schema"}}},
    ],
)
def test_a_schema_that_no_answer_could_be_validated_by_is_refused(schema):
    with pytest.raises(TaskError):
        Overrides(schema=schema)
