"""Load task folders into `Task` values and find one by its id."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ocrlty_pipeline.errors import TaskError

BUILT_IN = Path(__file__).parent
TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


@dataclass(frozen=True)
class Task:
    """What to extract: a prompt and the JSON Schema its answer follows."""

    task_id: str
    prompt: str
    schema: Mapping[str, Any] = field(repr=False)
    description: str

    @cached_property
    def prompt_sha256(self) -> str:
        return hashlib.sha256(self.prompt.encode()).hexdigest()

    @cached_property
    def canonical_schema(self) -> str:
        """The schema's JSON of which key order and white space are no part."""
        return json.dumps(self.schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def schema_sha256(self) -> str:
        """Hash of the canonical schema."""
        return hashlib.sha256(self.canonical_schema.encode()).hexdigest()


class TaskRegistry:
    """Tasks by id, in alphabetical order.

    Raises:
        TaskError: on look-up of an unknown id; names the known ones.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = dict(sorted(tasks.items()))

    def __getitem__(self, task_id: str) -> Task:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise TaskError(f"Unknown task {task_id!r}: known tasks are {', '.join(self._tasks)}.") from None

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    @property
    def ids(self) -> list[str]:
        return list(self._tasks)


def load_tasks(extra_dir: Path | None = None) -> TaskRegistry:
    """Load the built-in tasks and those of `extra_dir`.

    Raises:
        TaskError: a folder lacks a file, a file is broken, or an id is taken twice; names the file.
    """
    tasks = {task.task_id: task for task in _load_dir(BUILT_IN)}
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise TaskError(f"OCRLTY_TASKS_DIR: {extra_dir} is not a folder.")
        for task in _load_dir(extra_dir):
            if task.task_id in tasks:
                raise TaskError(f"{extra_dir / task.task_id}: a task of this id is built in; rename the folder.")
            tasks[task.task_id] = task
    return TaskRegistry(tasks)


def _load_dir(folder: Path) -> Iterator[Task]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "__")):
            yield _load_task(path)


def _load_task(folder: Path) -> Task:
    if not TASK_ID.match(folder.name):
        raise TaskError(f"{folder}: a task's folder is named with letters, digits, '_' and '-', at most 64.")
    prompt = _read(folder / "prompt.txt").strip()
    if not prompt:
        raise TaskError(f"{folder / 'prompt.txt'}: the prompt is empty.")
    return Task(folder.name, prompt, _load_schema(folder / "schema.json"), _load_description(folder / "task.toml"))


def _load_schema(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise TaskError(f"{path}: not JSON: {error}.") from None
    return checked_schema(schema, str(path))


def checked_schema(schema: object, where: str) -> dict[str, Any]:
    """Return `schema` if a task can have it: answers are validated by it, so what is wrong with it must be found now.

    Args:
        schema: JSON of unknown making.
        where: what names it in messages: a path, a field.

    Raises:
        TaskError: not a JSON Schema of an object, a reference that leads nowhere, a pattern that is none.
    """
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise TaskError(f'{where}: the schema must be an object with "type": "object" at its top.')
    try:
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        raise TaskError(f"{where}: not a JSON Schema (draft 2020-12): {error.message} at {error.json_path}.") from None
    _refuse_dangling_references(schema, where)
    return schema


def _refuse_dangling_references(schema: dict[str, Any], where: str) -> None:
    """Find now what would otherwise fail at the first answer to be validated."""
    resolver = Registry[Any]().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except (Unresolvable, ValueError):
            raise TaskError(
                f'{where}: "$ref": "{reference}" leads nowhere; definitions must stand in this file.'
            ) from None


def _references(schema: object) -> Iterator[str]:
    children: Iterable[object] = ()
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        children = schema.values()
    elif isinstance(schema, list):
        children = schema
    for child in children:
        yield from _references(child)


def _load_description(path: Path) -> str:
    try:
        description = tomllib.loads(_read(path)).get("description")
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path}: not TOML: {error}.") from None
    if not isinstance(description, str) or not description.strip():
        raise TaskError(f'{path}: needs a line `description = "..."`.')
    return description.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors begin a file with a byte order mark
    except FileNotFoundError:
        raise TaskError(f"{path}: the file is missing; a task needs prompt.txt, schema.json and task.toml.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
