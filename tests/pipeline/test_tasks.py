import json

import pytest
from jsonschema import Draft202012Validator

from ocrlty_pipeline.errors import TaskError
from ocrlty_pipeline.tasks.registry import load_tasks

SCHEMA = {"type": "object", "properties": {"total": {"type": ["string", "null"], "format": "x-money"}}}


@pytest.fixture
def write_task(tmp_path):
    def write(name="mine", *, prompt="Read it.", schema=SCHEMA, toml='description = "Mine"'):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "prompt.txt").write_text(prompt, encoding="utf-8")
        (folder / "schema.json").write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
        (folder / "task.toml").write_text(toml, encoding="utf-8")
        return folder

    return write


def refusal(folder):
    with pytest.raises(TaskError) as refused:
        load_tasks(folder)
    return refused.value.message


def test_the_built_in_tasks_are_there_in_alphabetical_order():
    assert load_tasks().ids == ["items_light_v1", "receipt_fields_v1", "receipt_header_v1"]


@pytest.mark.parametrize("task", list(load_tasks()), ids=lambda task: task.task_id)
def test_a_built_in_task_names_every_field_in_its_prompt_and_accepts_its_own_examples(task):
    fields = task.schema["properties"].get("menu", {"items": task.schema})["items"]["properties"]
    assert all(field in task.prompt for field in fields)
    for example in task.schema["examples"]:
        Draft202012Validator(task.schema).validate(example)


def test_a_folder_makes_a_task(tmp_path, write_task):
    write_task(prompt="\n Read it. \n")
    task = load_tasks(tmp_path)["mine"]
    assert (task.prompt, task.schema, task.description) == ("Read it.", SCHEMA, "Mine")


def test_files_saved_on_windows_are_read_without_their_byte_order_mark(tmp_path, write_task):
    write_task(prompt="\ufeffRead it.", schema="\ufeff" + json.dumps(SCHEMA), toml='\ufeffdescription = "Mine"')
    assert load_tasks(tmp_path)["mine"].prompt == "Read it."


def test_hidden_folders_and_loose_files_are_no_tasks(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "README.md").touch()
    assert load_tasks(tmp_path).ids == load_tasks().ids


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(TaskError, match=r"'receipt_field_v1'.*items_light_v1, receipt_fields_v1, receipt_header_v1"):
        load_tasks()["receipt_field_v1"]


@pytest.mark.parametrize("name", ["prompt.txt", "schema.json", "task.toml"])
def test_a_missing_or_undecodable_file_is_named(tmp_path, write_task, name):
    path = write_task() / name
    path.write_bytes(b"\xff\xfe\x00")
    assert str(path) in refusal(tmp_path)
    path.unlink()
    assert str(path) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("broken", "file"),
    [
        ({"prompt": "  \n"}, "prompt.txt"),
        ({"schema": "{"}, "schema.json"),
        ({"schema": {"type": "array"}}, "schema.json"),
        ({"schema": ["object"]}, "schema.json"),
        ({"schema": {"type": "object", "properties": {"total": {"type": "money"}}}}, "schema.json"),
        ({"toml": "description = "}, "task.toml"),
        ({"toml": 'title = "Mine"'}, "task.toml"),
        ({"toml": 'description = " "'}, "task.toml"),
    ],
)
def test_a_broken_file_is_named(tmp_path, write_task, broken, file):
    folder = write_task(**broken)
    assert str(folder / file) in refusal(tmp_path)


def test_a_reference_to_a_definition_that_is_not_there_is_found_at_load(tmp_path, write_task):
    write_task(schema={"type": "object", "properties": {"items": {"items": {"$ref": "#/$defs/item"}}}})
    assert "#/$defs/item" in refusal(tmp_path)


def test_references_within_the_schema_are_fine(tmp_path, write_task):
    nested = {"type": "object", "properties": {"sub": {"$ref": "#"}, "n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {}}}
    write_task(schema=nested)
    assert load_tasks(tmp_path)["mine"].schema == nested


@pytest.mark.parametrize("name", ["my task", "tâche", "-mine", "x" * 65, "mine\n"])
def test_a_folder_whose_name_is_no_id_is_refused(tmp_path, write_task, name):
    write_task(name)
    assert name in refusal(tmp_path)


def test_a_built_in_id_cannot_be_taken(tmp_path, write_task):
    folder = write_task("receipt_fields_v1")
    assert str(folder) in refusal(tmp_path)


def test_a_tasks_folder_that_is_none_is_named_with_its_setting(tmp_path):
    assert "OCRLTY_TASKS_DIR" in refusal(tmp_path / "nowhere")


def test_the_schemas_hash_knows_its_meaning_and_not_its_layout(tmp_path, write_task):
    write_task("one", schema='{"type": "object", "title": "t"}')
    write_task("same", schema='{"title":"t",\n"type":"object"}')
    write_task("other", schema='{"title": "T", "type": "object"}')
    tasks = load_tasks(tmp_path)
    assert tasks["one"].schema_sha256 == tasks["same"].schema_sha256 != tasks["other"].schema_sha256
