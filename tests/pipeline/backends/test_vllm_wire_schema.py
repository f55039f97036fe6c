"""The wire schema holds nothing that an engine refuses, and accepts whatever the task's schema accepts."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ocrlty_pipeline.backends.vllm.wire_schema import MAX_UNROLLED, wire_schema
from ocrlty_pipeline.tasks.registry import load_tasks
from tests.support.schema_refusals import reason_to_refuse

BUILT_IN = {task.task_id: task.schema for task in load_tasks()}


def around(schema, **more):
    return {"type": "object", "properties": {"a": schema}, **more}


def wired(schema, **more):
    """The wire form of a property's schema."""
    return wire_schema(around(schema, **more))["properties"]["a"]


CASES = {
    "a type stays": ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
    "formats go": ({"type": "string", "format": "x-money", "maxLength": 9}, {"type": "string", "maxLength": 9}),
    "annotations go": (
        {"type": "string", "title": "T", "examples": ["x"], "x-y": 1, "$comment": "c"},
        {"type": "string"},
    ),
    "a description stays": ({"type": "string", "description": "d"}, {"type": "string", "description": "d"}),
    "uniqueItems goes": ({"type": "array", "uniqueItems": True, "items": {}}, {"type": "array", "items": {}}),
    "multipleOf goes": ({"type": "number", "multipleOf": 2, "minimum": 0}, {"type": "number", "minimum": 0}),
    "enum stays": ({"enum": ["x", None]}, {"enum": ["x", None]}),
    "const stays": ({"const": 3}, {"const": 3}),
    "conditions go": ({"type": "string", "if": {}, "then": {}, "not": {"const": "x"}}, {"type": "string"}),
    "oneOf becomes anyOf": (
        {"oneOf": [{"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    "what says nothing alone goes": ({"minLength": 3}, {}),
    "true is anything": (True, {}),
    "a portable pattern stays": (
        {"type": "string", "pattern": r"^\d{4}-\d\d$"},
        {"type": "string", "pattern": r"^\d{4}-\d\d$"},
    ),
    "look-ahead goes": ({"type": "string", "pattern": "^(?=a)[a-z]{3}$"}, {"type": "string"}),
    "an open pattern goes": ({"type": "string", "pattern": r"\d{4}"}, {"type": "string"}),
    "half an alternative goes": ({"type": "string", "pattern": "^a|b$"}, {"type": "string"}),
    "an alternative in a group stays": (
        {"type": "string", "pattern": "^(a|b)$"},
        {"type": "string", "pattern": "^(a|b)$"},
    ),
    "a word class goes": ({"type": "string", "pattern": r"^\w+$"}, {"type": "string"}),
    "a broken pattern goes": ({"type": "string", "pattern": "^[a-$"}, {"type": "string"}),
    "a bounding pattern wins over lengths": (
        {"type": "string", "pattern": r"^\d{4}$", "maxLength": 4, "minLength": 4},
        {"type": "string", "pattern": r"^\d{4}$"},
    ),
    "a length wins over a boundless pattern": (
        {"type": "string", "pattern": r"^\d+$", "maxLength": 4},
        {"type": "string", "maxLength": 4},
    ),
    "allOf is merged": (
        {"type": "string", "allOf": [{"maxLength": 4}, {"minLength": 1}]},
        {"type": "string", "maxLength": 4, "minLength": 1},
    ),
    "objects of allOf are merged": (
        {
            "allOf": [
                around({"type": "string"}, required=["a"]),
                {"properties": {"b": {"type": "null"}}, "required": ["b"]},
            ]
        },
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "null"}}, "required": ["a", "b"]},
    ),
    "properties win over anyOf": (
        {**around({"type": "string"}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        around({"type": "string"}),
    ),
    "other properties are free where some go by pattern": (
        {"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": False},
        {"type": "object"},
    ),
    "items are free where the first ones differ": (
        {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "string"}},
        {"type": "array"},
    ),
    "large bounds of arrays go": (
        {"type": "array", "maxItems": 33, "items": {"type": "string", "maxLength": 65}},
        {"type": "array", "items": {"type": "string"}},
    ),
    "other bounds stay": (
        {"type": "array", "maxItems": 32, "items": {"type": "string", "maxLength": 64}},
        {"type": "array", "maxItems": 32, "items": {"type": "string", "maxLength": 64}},
    ),
    "a large length outside arrays stays": ({"type": "string", "maxLength": 400}, {"type": "string", "maxLength": 400}),
    "a map keeps its values' schema": (
        {"type": "object", "additionalProperties": {"type": "string", "format": "date"}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    "a remote reference is anything": ({"$ref": "https://example.com/x.json"}, {}),
    "a dangling reference is anything": ({"$ref": "#/$defs/nowhere"}, {}),
    "another document inside is anything": ({"$id": "https://example.com/y", "type": "string"}, {}),
}


@pytest.mark.parametrize(("schema", "wire"), CASES.values(), ids=CASES)
def test_what_goes_over_the_wire(schema, wire):
    assert wired(schema) == wire


def test_a_local_reference_is_inlined_with_what_stands_beside_it():
    defs = {"a/b": {"type": "string", "format": "x-money"}}
    assert wired({"$ref": "#/$defs/a~1b", "maxLength": 5}, **{"$defs": defs}) == {"type": "string", "maxLength": 5}


def test_a_recursive_reference_ends_in_anything_after_some_rounds():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    found, rounds = wired({"$ref": "#/$defs/node"}, **{"$defs": {"node": node}}), 0
    while found:
        found, rounds = found["properties"]["next"], rounds + 1
    assert rounds == MAX_UNROLLED


def test_definitions_that_all_name_each_other_stay_of_bounded_size():
    names = [f"d{n}" for n in range(12)]
    everyone = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    defs = {name: {"type": "object", "properties": everyone} for name in names}
    assert len(json.dumps(wire_schema({"type": "object", "properties": everyone, "$defs": defs}))) < 100_000


def test_the_task_s_schema_itself_is_left_as_it_was():
    for schema in BUILT_IN.values():
        before = json.dumps(schema)
        wire_schema(schema)
        assert json.dumps(schema) == before


@pytest.mark.parametrize("schema", BUILT_IN.values(), ids=BUILT_IN)
def test_a_built_in_schema_keeps_its_shape_on_the_wire(schema):
    wire = wire_schema(schema)
    assert reason_to_refuse(schema)
    assert not reason_to_refuse(wire)
    assert list(wire["properties"]) == list(schema["properties"])
    assert (wire["required"], wire["additionalProperties"]) == (schema["required"], False)


VALUES = [
    *(None, True, False, 0, 1, 2, 2.5, "", "a", "ab", "12", "1234"),
    *([], [0], ["a"], ["a", "a"], [None, "a"], [1, "a", None], [["a"], {"a": 1}]),
    *({}, {"a": 0}, {"a": "a"}, {"a": None}, {"b": 1}, {"xa": 0}, {"xa": "a", "a": 1}, {"a": 1, "b": 2}),
    *({"a": {"a": 1}}, {"a": ["a"]}, {"b": "a", "xa": None}, {"a": {"b": "12"}, "b": []}),
]
KEYS = st.sampled_from(["a", "b", "xa"])
COUNTS = st.integers(0, 3)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def keywords(inner):
    """Keywords that depend on each other, together, so that they often meet in one schema."""
    some = st.lists(inner, min_size=1, max_size=2)
    by_key = st.dictionaries(KEYS, inner, max_size=2)
    objects = {
        "properties": by_key,
        "required": st.lists(KEYS, max_size=2, unique=True),
        "additionalProperties": inner | st.just(False),
        "patternProperties": st.fixed_dictionaries({"^x": inner}),
        "minProperties": COUNTS,
        "dependentRequired": st.just({"a": ["b"]}),
    }
    arrays = {"items": inner, "prefixItems": some, "contains": inner, "uniqueItems": st.booleans(), "maxItems": COUNTS}
    texts = {
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "pattern": st.sampled_from(["^a", r"^\d{2}$", "^(a|12)$", r"^\d+$", "(?=a)a", "^a|b$"]),
        "format": st.sampled_from(["x-money", "date"]),
    }
    numbers = {"minimum": COUNTS, "exclusiveMaximum": COUNTS, "multipleOf": st.just(2)}
    listed = {"enum": st.lists(st.sampled_from(VALUES), min_size=1, max_size=3), "const": st.sampled_from(VALUES)}
    combined = {"anyOf": some, "oneOf": some, "allOf": some, "$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"])}
    conditions = {"not": inner, "if": inner, "then": inner, "else": inner}
    return st.one_of(
        family({"type": st.just(["object", "null"])}, objects, combined),
        family({"type": st.just("object")}, objects),
        family({"type": st.just(["array", "null"])}, arrays, combined),
        family({"type": st.just("string")}, texts, combined),
        family({"type": st.just(["number", "boolean"])}, numbers, conditions),
        family({"type": TYPES}, listed),
        family({}, combined),
        family({}, objects, arrays, texts, numbers),
    )


def family(always, *sometimes):
    return st.fixed_dictionaries(always, optional={name: values for part in sometimes for name, values in part.items()})


SCHEMAS = keywords(keywords(st.builds(dict, type=TYPES) | st.booleans()))


@settings(max_examples=200)
@given(schema=SCHEMAS, one=SCHEMAS, two=SCHEMAS)
def test_whatever_a_schema_accepts_its_wire_form_accepts(schema, one, two):
    whole = around(schema, **{"$defs": {"one": one, "two": two}})
    wire = wire_schema(whole)
    assert not reason_to_refuse(wire)
    for value in VALUES:
        if accepts(whole, {"a": value}):
            Draft202012Validator(wire).validate({"a": value})


def accepts(schema, value):
    """Whether it is valid; a reference that turns in a circle accepts nothing."""
    try:
        return Draft202012Validator(schema).is_valid(value)
    except RecursionError:
        return False
    except BaseException as error:
        # rpds, a library in Rust that jsonschema stands on, panics where the recursion ends within it.
        if type(error).__name__ != "PanicException":
            raise
        return False


TEXTS = st.none() | st.text(max_size=30) | st.sampled_from(["1.234,56", "Rp 5.000", "2 x"])
ITEMS = st.fixed_dictionaries(
    dict.fromkeys(("nm", "cnt", "unitprice", "price", "discountprice", "num"), TEXTS)
    | {
        "sub": st.none()
        | st.lists(st.fixed_dictionaries({"nm": TEXTS}, optional={"cnt": TEXTS, "price": TEXTS}), max_size=2)
    }
)


@pytest.mark.parametrize("schema", BUILT_IN.values(), ids=BUILT_IN)
@given(data=st.data())
def test_whatever_a_built_in_task_accepts_its_wire_form_accepts(schema, data):
    texts = st.fixed_dictionaries(dict.fromkeys(schema["properties"], TEXTS))
    value = data.draw(
        st.fixed_dictionaries({"menu": st.lists(ITEMS, max_size=3)}) if "menu" in schema["properties"] else texts
    )
    assume(accepts(schema, value))
    Draft202012Validator(wire_schema(schema)).validate(value)
