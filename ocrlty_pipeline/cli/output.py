"""Everything the command prints: results to standard output, news and progress to standard error."""

from __future__ import annotations

from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ocrlty_pipeline.evaluation.headline import headline
from ocrlty_pipeline.evaluation.results import EvaluationSummary

# Of a table, in characters.
MAX_WIDTH = 10_000

console = Console(stderr=True, highlight=False)
results = Console(highlight=False)


def say(text: str) -> None:
    """News for the person; never part of a result."""
    console.print(text, markup=False, soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    results.file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_table(table: Table) -> None:
    """A table as wide as it is: rich would cut ids, which are there to be copied, to the terminal's width or 80."""
    whole = Measurement.get(results, results.options.update(max_width=MAX_WIDTH), table).maximum
    Console(highlight=False, width=max(whole, results.width)).print(table)


def print_run(document: dict[str, Any], store_location: str | None) -> None:
    """A batch run as a person reads it: scores where it was evaluated, latency, errors, and where things are.

    Args:
        document: as `Runs.document` and the API's `/v1/runs/{run_id}` give it.
        store_location: the store's folder or bucket; None where it is the service's and nobody here can look.
    """
    evaluation = document["eval"]
    if evaluation is not None:
        results.print(_field_table(evaluation))
        results.print(_headline_table(evaluation))
    print_table(_facts(document))
    if store_location is not None:
        _print_places(document, store_location)


def _print_places(document: dict[str, Any], store_location: str) -> None:
    evaluation = document["eval"]
    results.print(f"Artifacts: {store_location}/{document['artifact_rel']}", soft_wrap=True)
    if evaluation is not None:
        results.print(f"Evaluation: {store_location}/{evaluation['eval_artifact_rel']}", soft_wrap=True)
    results.print("Dagster's UI: make up, then http://127.0.0.1:3000")


def _field_table(evaluation: dict[str, Any]) -> Table:
    # Narrow enough for 80 columns with the longest path of a built-in task.
    table = Table(title="Against the ground truth", title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("field", no_wrap=True)
    for name in ("expected", "matched", "wrong", "missing", "invented", "accuracy", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for path, score in evaluation["fields"].items():
        table.add_row(path, *_score_cells(score))
    table.add_section()
    table.add_row("all fields", *_score_cells(evaluation["summary"]["micro"]))
    return table


_AS_PRINTED = "ANLS*, tree-edit accuracy and KIEval compare texts as they are printed."


def _headline_table(evaluation: dict[str, Any]) -> Table:
    """The figures of the run with their 95 % intervals."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_AS_PRINTED, caption_justify="left")
    for name in ("figure", "value", "95 % interval"):
        table.add_column(name, justify="left" if name == "figure" else "right", no_wrap=True)
    for figure in headline(EvaluationSummary.model_validate(evaluation["summary"])):
        bounds = "-" if figure.low is None else f"{_share(figure.low)} to {_share(figure.high)}"
        table.add_row(figure.label, _share(figure.value), bounds)
    return table


def _score_cells(score: dict[str, Any]) -> list[str]:
    wrong = score["mismatch"] + score["canon_error"] + score["type_mismatch"]
    counts = (score["support"], score["matched"], wrong, score["pred_missing"], score["gt_missing"])
    return [*map(str, counts), *(_share(score[name]) for name in ("accuracy", "f1"))]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _facts(document: dict[str, Any]) -> Table:
    facts = Table.grid(padding=(0, 2))
    rows = [("Run", f"{document['run_id']} ({document['status']})"), ("Images", _image_counts(document))]
    if document["eval"] is not None:
        summary = document["eval"]["summary"]
        exact, latency = summary["exact_match"], summary["latency_ms"]
        rows.append(("All right", f"{exact['count']} of {exact['total']} documents"))
        if latency is not None:
            rows.append(
                ("Latency", f"median {latency['p50'] / 1000:.2f} s, 95th percentile {latency['p95'] / 1000:.2f} s")
            )
    rows += [("Errors", f"{count} × {code}") for code, count in document["errors_by_code"].items()]
    for label, value in rows:
        facts.add_row(label, value)
    return facts


def _image_counts(document: dict[str, Any]) -> str:
    parts = [f"{document['item_count']}: {document['ok_count']} ok, {document['error_count']} errors"]
    if document["pending_count"]:
        parts.append(f"{document['pending_count']} not attempted")
    if document["reused_count"]:
        parts.append(f"{document['reused_count']} kept from {document['resumed_from']}")
    return ", ".join(parts)
