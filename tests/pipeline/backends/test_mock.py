"""The mock answers every task: with the schema's first example, else with an instance found for it."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ocrlty_pipeline.backends.mock import MockBackend
from ocrlty_pipeline.backends.pattern_sample import sample_of
from ocrlty_pipeline.backends.schema_instance import minimal_instance
from ocrlty_pipeline.errors import BackendError
from ocrlty_pipeline.tasks.registry import Task


def closed(properties, **more):
    """An object that holds exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def answer(request_for, schema):
    request = request_for(task=Task("t", "?", schema, "A task"))
    return asyncio.run(MockBackend().complete(request))


def test_the_first_example_is_the_answer(request_for):
    completion = answer(request_for, closed({"a": {"type": "string"}}, examples=[{"a": "é1"}, {"a": "2"}]))
    assert json.loads(completion.text) == {"a": "é1"}
    assert (completion.finish_reason, completion.usage) == ("stop", None)


def test_a_schema_without_examples_is_answered_too(request_for):
    assert json.loads(answer(request_for, closed({"a": {"type": "integer"}})).text) == {"a": 0}


def test_each_built_in_task_is_answered_validly_also_without_its_examples(request_for, tasks):
    for task in tasks:
        schema = {name: value for name, value in task.schema.items() if name != "examples"}
        Draft202012Validator(schema).validate(json.loads(answer(request_for, schema).text))


def test_two_tasks_of_one_backend_get_their_own_answers(request_for):
    async def go():
        backend = MockBackend()
        schemas = [closed({name: {"type": "null"}}) for name in "abab"]
        tasks = [Task("t", "?", schema, "A task") for schema in schemas]
        return [json.loads((await backend.complete(request_for(task=task))).text) for task in tasks]

    assert asyncio.run(go()) == [{"a": None}, {"b": None}, {"a": None}, {"b": None}]


SMALLEST = {
    "null where it will do": ({"type": ["string", "null"]}, None),
    "money": ({"type": "string", "format": "x-money"}, "0.00"),
    "count": ({"type": "string", "format": "x-count"}, "1"),
    "date": ({"type": "string", "format": "date"}, "2000-01-01"),
    "minLength": ({"type": "string", "minLength": 3}, "000"),
    "format too short": ({"type": "string", "format": "x-count", "minLength": 2}, "00"),
    "pattern": ({"type": "string", "pattern": r"^INV-\d{4}(-[A-Z]+)?$"}, "INV-0000"),
    "enum": ({"enum": ["x", "y"]}, "x"),
    "enum of a type": ({"type": "integer", "enum": ["x", 3]}, 3),
    "const": ({"const": {"k": 1}}, {"k": 1}),
    "default": ({"type": "string", "default": "d"}, "d"),
    "minimum": ({"type": "integer", "minimum": 7}, 7),
    "exclusive minimum and step": ({"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5}, 10),
    "maximum below zero": ({"type": "integer", "maximum": -3}, -3),
    "a narrow range": ({"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.3}, 0.2),
    "minItems": ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
    "distinct items": ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [0, 1, 2]),
    "tuple": ({"type": "array", "prefixItems": [{"type": "string"}, {"const": 1}], "minItems": 2}, ["", 1]),
    "contains": ({"type": "array", "contains": {"const": 3}, "maxContains": 1, "minItems": 2}, [3, None]),
    "anyOf": ({"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]}, None),
    "oneOf": ({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 1}]}, "00"),
    "allOf": ({"allOf": [{"type": "string"}, {"minLength": 2}, {"minLength": 1}]}, "00"),
    "number and integer": ({"allOf": [{"type": "number", "minimum": 2}, {"type": "integer"}]}, 2),
    "not": ({"type": ["null", "boolean"], "not": {"type": "null"}}, False),
    "minProperties": ({"type": "object", "minProperties": 1, "additionalProperties": {"type": "null"}}, {"key0": None}),
    "dependent": (
        {"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}},
        {"a": None, "b": None},
    ),
    "condition": (
        {
            "type": "object",
            "properties": {"z": {"type": "null"}},
            "if": {"required": ["x"]},
            "else": {"required": ["z"]},
        },
        {"z": None},
    ),
    "reference": ({"$ref": "#/$defs/name"}, "00"),
    "list": ({"$ref": "#/$defs/list"}, {"next": None}),
    "tree": ({"$ref": "#/$defs/tree"}, {"left": {"leaf": ""}, "right": {"leaf": ""}}),
}
DEFS = {
    "name": {"type": "string", "minLength": 2},
    "list": closed({"next": {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}}),
    "tree": closed({"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}),
    "node": {"oneOf": [closed({"leaf": {"type": "string"}}), {"$ref": "#/$defs/tree"}]},
}


@pytest.mark.parametrize(("schema", "smallest"), SMALLEST.values(), ids=SMALLEST)
def test_the_instance_is_small_and_valid(schema, smallest):
    whole = closed({"it": schema}, **{"$defs": DEFS})
    found = minimal_instance(whole)
    assert found == {"it": smallest}
    Draft202012Validator(whole).validate(found)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 1}, "the search ended at #/deep/it"),
        ({"type": "string", "pattern": "^(?=.*z)[a-z]{3}$"}, "the search ended at #/deep/it"),
        ({"enum": []}, "the search ended at #/deep/it"),
        ({"$ref": "#/$defs/missing"}, "a reference that leads nowhere: /$defs/missing"),
        (
            {"$ref": "https://example.com/schema.json"},
            "a reference that leads nowhere: https://example.com/schema.json",
        ),
    ],
)
def test_a_schema_whose_instances_are_out_of_reach_is_an_error_in_words(request_for, schema, words):
    with pytest.raises(BackendError, match=re.escape(words)) as caught:
        answer(request_for, closed({"deep": closed({"it": schema})}))
    assert 'add an instance to the schema\'s "examples"' in caught.value.message


def test_a_schema_that_only_holds_infinite_instances_is_given_up():
    with pytest.raises(LookupError):
        minimal_instance(closed({"a": {"$ref": "#"}, "b": {"$ref": "#"}}))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        r"^(USD|EUR)$",
        r"^[^0-9]+\s\S*$",
        r"^(?:\+49|0)[1-9]\d{3,}$",
        r"^[\]\-x]{2}\.\w$",
        r"^(?P<a>b+?)c?$",
        "total",
    ],
)
def test_a_pattern_s_sample_matches_it(pattern):
    assert re.search(pattern, sample_of(pattern))


@pytest.mark.parametrize("pattern", ["[a", "a\\"])
def test_a_broken_pattern_has_no_sample(pattern):
    with pytest.raises(LookupError, match="is not understood"):
        sample_of(pattern)


@given(
    least=st.integers(-50, 50),
    width=st.integers(0, 30),
    step=st.sampled_from([1, 2, 5, 0.5]),
    kind=st.sampled_from(["integer", "number"]),
)
def test_a_bounded_number_is_found_wherever_there_is_one(least, width, step, kind):
    schema = closed({"n": {"type": kind, "minimum": least, "maximum": least + width + 5, "multipleOf": step}})
    Draft202012Validator(schema).validate(minimal_instance(schema))
