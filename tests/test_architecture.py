"""What docs/architecture.md says of the floors, held against the imports of every module; nothing is executed."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIPELINE, API = ROOT / "ocrlty_pipeline", ROOT / "ocrlty_api"
ORCHESTRATION = "ocrlty_pipeline.orchestration"
NAMES_OF_JOBS = {f"{ORCHESTRATION}.{name}" for name in ("job_records", "jobs", "run_tags")}


def modules_of(package):
    """Every module of a package with its file's path, `ocrlty_api.lanes.online` and so on."""
    for file in sorted(package.rglob("*.py")):
        inner = file.relative_to(ROOT).with_suffix("")
        yield ".".join(inner.parts[:-1] if inner.name == "__init__" else inner.parts), file


def imported_by(tree):
    """Every name that is imported anywhere in a module, whole: `from a.b import c` is `a.b.c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


IMPORTS = {
    module: set(imported_by(ast.parse(file.read_text())))
    for package in (PIPELINE, API)
    for module, file in modules_of(package)
}


def is_dagster(name):
    return re.match(r"dagster(_\w+)?(\.|$)", name) is not None


def is_below(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def importers(wanted, *, outside=(), among):
    """The modules among some packages, but for those outside, that import a name that is wanted."""
    found = {module: {name for name in names if wanted(name)} for module, names in IMPORTS.items()}
    return {
        module: names
        for module, names in found.items()
        if names and is_below(module, among) and not is_below(module, *outside)
    }


@pytest.fixture(scope="module")
def floors():
    """The names of each floor's modules and packages, from the ground up."""
    rows = re.findall(r"^\| (\w+) \| (`[^|]*) \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    return {floor: re.findall(r"`([\w/]+)`", names) for floor, names in rows}


def test_the_imports_of_modules_are_found():
    assert ORCHESTRATION + ".job_records.JobRecord" in IMPORTS["ocrlty_api.waiting"]
    assert any(map(is_dagster, IMPORTS["ocrlty_pipeline.definitions"]))
    within = ast.parse("def f():\n    from a.b import c, d\n    import e.f")
    assert list(imported_by(within)) == ["a.b.c", "a.b.d", "e.f"]


def test_the_domain_imports_neither_dagster_nor_orchestration():
    faces = (ORCHESTRATION, "ocrlty_pipeline.definitions", "ocrlty_pipeline.cli")
    found = importers(lambda name: is_dagster(name) or is_below(name, *faces), among="ocrlty_pipeline", outside=faces)
    assert found == {}


def test_the_pipeline_does_not_import_the_api():
    assert importers(lambda name: is_below(name, "ocrlty_api"), among="ocrlty_pipeline") == {}


def test_in_the_api_only_the_lanes_import_dagster_and_others_no_more_than_names_of_jobs():
    lanes = ("ocrlty_api.lanes",)
    assert importers(is_dagster, among="ocrlty_api", outside=lanes) == {}
    found = importers(lambda name: is_below(name, ORCHESTRATION), among="ocrlty_api", outside=lanes)
    assert found
    for module, names in found.items():
        assert all(is_below(name, *NAMES_OF_JOBS) for name in names), f"{module}: {names}"


def test_every_module_and_package_stands_on_exactly_one_floor(floors):
    there = {"ocrlty_api/"}
    for path in PIPELINE.iterdir():
        if path.suffix == ".py" and path.stem != "__init__":
            there.add(path.stem)
        elif (path / "__init__.py").is_file():
            there.add(f"{path.name}/")
    named = [name for names in floors.values() for name in names]
    assert sorted(named) == sorted(there)


def test_nothing_imports_upward(floors):
    height = {name.strip("/"): level for level, names in enumerate(floors.values()) for name in names}
    upward = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if is_below(module, "ocrlty_pipeline") and is_below(name, "ocrlty_pipeline") and module != "ocrlty_pipeline"
        if height[module.split(".")[1]] < height[name.split(".")[1]]
    ]
    assert upward == []
