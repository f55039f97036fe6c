"""How comparisons, baselines and leaderboards read at the command line; narrow enough for 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from ocrlty_pipeline.baselines import Baseline
from ocrlty_pipeline.cli.output import print_table, results, say
from ocrlty_pipeline.comparing import ChangedText
from ocrlty_pipeline.evaluation.comparison.results import (
    NO_EVIDENCE,
    ComparedRun,
    Comparison,
    FieldComparison,
    FigureDifference,
    SampleChange,
)
from ocrlty_pipeline.report.differences import changed_lines

_LISTED = 5


def print_comparison(comparison: Comparison, texts: Sequence[ChangedText]) -> None:
    """The verdict first, then what it rests on, the fields, the first images of either kind, and what was changed."""
    results.print(comparison.words, markup=False, soft_wrap=True)
    print_table(_figure_table(comparison))
    results.print(_field_table(comparison))
    for name, samples in (("Fixed", comparison.fixed()), ("Broken", comparison.broken())):
        if samples:
            results.print(_listed(name, samples), markup=False, soft_wrap=True)
    print_table(_facts(comparison))
    for text in texts:
        results.print(f"\n{_changed_text(text)}", markup=False, soft_wrap=True)


def _figure_table(comparison: Comparison) -> Table:
    title = f"A {comparison.a.run_id}, B {comparison.b.run_id}, {comparison.paired} images"
    table = _table(title, ("figure", "A", "B", "B - A", "95 % interval"))
    for figure in comparison.figures:
        table.add_row(figure.label, _share(figure.a), _share(figure.b), _points(figure.difference), _bounds(figure))
    return table


def _field_table(comparison: Comparison) -> Table:
    table = _table("", ("field", "F1 A", "F1 B", "B - A", "fixed", "broken", "p", "verdict"))
    for field in comparison.fields:
        table.add_row(*_field_cells(field))
    caption = f"p: McNemar's exact test, after Holm; a verdict needs p < {comparison.alpha:g}."
    table.caption, table.caption_justify = caption, "left"
    return table


def _field_cells(field: FieldComparison) -> list[str]:
    counts = field.documents
    return [
        escape(field.field),
        _share(field.f1.a),
        _share(field.f1.b),
        _points(field.f1.difference),
        str(counts.fixed),
        str(counts.broken),
        p_value(field.p_adjusted),
        "" if field.verdict == NO_EVIDENCE else field.verdict,
    ]


def _listed(name: str, samples: Sequence[SampleChange]) -> str:
    files = ", ".join(sample.file for sample in samples[:_LISTED])
    more = f" and {len(samples) - _LISTED} more (--json lists all)" if len(samples) > _LISTED else ""
    return f"{name}: {files}{more}"


def _facts(comparison: Comparison) -> Table:
    facts = Table.grid(padding=(0, 2))
    for change in comparison.settings:
        facts.add_row(change.name, escape(f"{_short(change.a)} -> {_short(change.b)}"))
    for name, run in (("A", comparison.a), ("B", comparison.b)):
        facts.add_row(f"Evaluation {name}", _evaluation(run))
    for name, left_out in (
        ("Images only in A", comparison.only_a),
        ("Images only in B", comparison.only_b),
        ("Other images of one name", comparison.other_images),
        ("Fields only in A", comparison.fields_only_a),
        ("Fields only in B", comparison.fields_only_b),
    ):
        if left_out:
            facts.add_row(name, f"{len(left_out)}, left out")
    return facts


_SIGNS = {"same": " ", "removed": "-", "added": "+", "gap": ""}


def _changed_text(text: ChangedText) -> str:
    if text.a is None or text.b is None:
        sides = " and ".join(name for name, known in (("A", text.a), ("B", text.b)) if known is None)
        return f"The {text.name} changed; its text is unknown for {sides}."
    lines = [f"{_SIGNS[line.kind]}{line.text}" for line in changed_lines(text.a, text.b)]
    return "\n".join([f"The {text.name} changed, A - to B +:", *lines])


def _evaluation(run: ComparedRun) -> str:
    if run.rescored is None:
        return f"{run.eval_id}, ground truth version {run.ground_truth_version}"
    return f"scored anew against ground truth version {run.ground_truth_version}: {run.rescored}"


def print_baselines(baselines: Sequence[Baseline]) -> None:
    if not baselines:
        say("No baseline set.")
        return
    table = _table("", ("image set", "task", "run", "F1 may fall", "blocking", "set"))
    for baseline in baselines:
        table.add_row(
            baseline.image_set,
            baseline.task_id,
            baseline.run_id,
            f"{100 * baseline.max_drop:g} points",
            "yes" if baseline.blocking else "no",
            f"{baseline.set_at:%Y-%m-%d %H:%M}Z",
        )
    print_table(table)


def print_leaderboard(table: pd.DataFrame) -> None:
    """Rank, run and the figures; all columns are in the asset's files."""
    tasks = sorted(set(table["task_id"]))
    several = len(tasks) > 1
    title = "" if several else f"Runs with {tasks[0]}"
    columns = ["rank", "run", *(["task"] if several else []), "model", "GT", "images", "F1", "interval", "all right"]
    shown = _table(title, [*columns, "ANLS*"])
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        shown.add_row(*_leaderboard_cells(row, several=several))
    print_table(shown)


def _leaderboard_cells(row: dict[Any, Any], *, several: bool) -> list[str]:
    low, high = row.get("field_f1_low"), row.get("field_f1_high")
    version = row.get("ground_truth_version")
    return [
        "-" if row["rank"] is None else str(row["rank"]),
        row["run_id"],
        *([row["task_id"]] if several else []),
        row["model_id"],
        "-" if version is None else str(int(version)),
        str(row["scored"]),
        _share(row["field_f1"]),
        "-" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}",
        _share(row["exact_match"]),
        _share(row.get("anls")),
    ]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    words = {"figure", "field", "verdict", "image set", "task", "run", "model", "set"}
    for name in columns:
        # A name that is cut cannot be copied into the next command.
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    return table


def p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _bounds(figure: FigureDifference) -> str:
    if figure.low is None or figure.high is None:
        return "-"
    return f"{100 * figure.low:+.1f} to {100 * figure.high:+.1f}"


def _short(value: Any) -> str:
    """A hash as its beginning, anything else as it is."""
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text
