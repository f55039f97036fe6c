"""The page of a comparison: run B against run A."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocrlty_pipeline.evaluation.comparison.results import (
    NO_EVIDENCE,
    ComparedRun,
    Comparison,
    FieldComparison,
    PairCounts,
    SampleChange,
)
from ocrlty_pipeline.records import BatchRun
from ocrlty_pipeline.report import plots
from ocrlty_pipeline.report.differences import Line, changed_lines, changed_schema
from ocrlty_pipeline.report.gallery import Gallery, changed_documents
from ocrlty_pipeline.report.links import Pictures, filter_link
from ocrlty_pipeline.report.page import render
from ocrlty_pipeline.report.wording import OUTCOMES, count, milliseconds

_MOST_FILES = 300
_SENTENCES = re.compile(r"(?<=\.) (?=(?:Better|Worse): |No field )")
_TONES = {"better": "better", "worse": "worse", NO_EVIDENCE: "even"}


@dataclass(frozen=True, slots=True)
class TaskTexts:
    """Prompt and schema that a run was made with; None where they were not kept."""

    prompt: str | None
    schema: Any


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """A comparison and what its page shows beside it; pairs are A and B."""

    comparison: Comparison
    batches: tuple[BatchRun, BatchRun]
    texts: tuple[TaskTexts, TaskTexts]
    gallery: Gallery

    @classmethod
    def of(
        cls, comparison: Comparison, batches: tuple[BatchRun, BatchRun], texts: tuple[TaskTexts, TaskTexts]
    ) -> ComparedRuns:
        return cls(comparison, batches, texts, changed_documents(comparison))


def comparison_page(runs: ComparedRuns, pictures: Pictures) -> bytes:
    """The page as UTF-8; the same arguments give the same bytes.

    Args:
        runs: what is shown.
        pictures: of the gallery's documents.
    """
    comparison = runs.comparison
    documents = comparison.documents
    figures_scale = _scale([(f.difference, f.low, f.high) for f in comparison.figures])
    fields_scale = _scale([(f.f1.difference, f.f1.low, f.f1.high) for f in comparison.fields])
    changed, missing = _texts(runs)
    shown = {document["file"] for document in runs.gallery.documents}
    return render(
        "comparison.html.j2",
        _data(runs, pictures),
        title=f"{comparison.b.run_id} against {comparison.a.run_id} · OCRlty",
        kind="Comparison",
        heading=f"{comparison.b.run_id} against {comparison.a.run_id}",
        verdict=_SENTENCES.split(comparison.words),
        tone=_TONES[comparison.verdict],
        comparison=comparison,
        runs=_runs(runs),
        documents=documents,
        documents_bar=plots.bar(
            {
                "right": documents.both_right,
                "fixed": documents.fixed,
                "broken": documents.broken,
                "wrong-twice": documents.both_wrong,
            }
        ),
        documents_words=_documents(documents),
        figures=[
            {"figure": f, "whisker": plots.difference(f.difference, f.low, f.high, figures_scale)}
            for f in comparison.figures
        ],
        figures_scale=_scale_words(figures_scale),
        fields=[_field(field, fields_scale) for field in comparison.fields],
        fields_scale=_scale_words(fields_scale),
        left_out=_left_out(comparison),
        settings=[{"name": s.name, "a": _setting(s.a), "b": _setting(s.b)} for s in comparison.settings],
        texts=changed,
        texts_missing=missing,
        lists=[_list(kind, getattr(comparison, kind)(), shown) for kind in ("fixed", "broken")],
        gallery={
            "title": "What changed, document by document",
            "kind_label": "Change",
            "total": runs.gallery.total,
            "shown": len(runs.gallery.documents),
            "note": "The values of fields that were fixed or broken; marked characters differ from what was expected.",
            "none": "Nothing was fixed or broken on any image.",
        },
    )


def _data(runs: ComparedRuns, pictures: Pictures) -> dict[str, Any]:
    return {
        "columns": ["Expected", "A", "B"],
        "fields": [field.field for field in runs.comparison.fields],
        "outcomes": OUTCOMES,
        "kinds": {"fixed": "fixed", "broken": "broken", "unchanged": "unchanged"},
        "documents_by": {"fixed": "fixed", "broken": "broken", "neither": "neither", "failed": "failed in A or B"},
        "sorts": {"": "place in the image set", "faults": "most changes", "file": "file name"},
        "base": pictures.base,
        "documents": pictures.attach(runs.gallery.documents),
    }


def _runs(runs: ComparedRuns) -> list[tuple[str, str, str]]:
    a, b = runs.comparison.a, runs.comparison.b
    return [
        ("Run", a.run_id, b.run_id),
        ("Image set", a.image_set, b.image_set),
        ("Task", a.task_id, b.task_id),
        *((name, *values) for name, values in _of_batches(runs.batches)),
        ("Ground truth", _ground_truth(a), _ground_truth(b)),
    ]


def _of_batches(batches: tuple[BatchRun, BatchRun]) -> list[tuple[str, tuple[str, str]]]:
    a, b = batches
    return [
        ("Model", (f"{a.model_id} ({a.backend})", f"{b.model_id} ({b.backend})")),
        ("Ended", (_minute(a), _minute(b))),
        ("Time per image", (_times(a), _times(b))),
    ]


def _minute(batch: BatchRun) -> str:
    return batch.finished_at[:16].replace("T", " ") + " UTC"


def _times(batch: BatchRun) -> str:
    times = [item.timings_ms.total for item in batch.items if item.timings_ms.total > 0]
    if not times:
        return "not timed"
    median, late = np.percentile(times, (50, 95))
    return f"median {milliseconds(median)}, 95th percentile {milliseconds(late)}"


def _ground_truth(run: ComparedRun) -> str:
    version = f"version {run.ground_truth_version}"
    return version if run.rescored is None else f"{version}; scored for this comparison: {run.rescored}"


def _scale(intervals: list[tuple[float | None, float | None, float | None]]) -> float:
    return plots.difference_scale([value for interval in intervals for value in interval])


def _scale_words(scale: float) -> str:
    return f"{-100 * scale:g} to {100 * scale:+g} points"


def _documents(documents: PairCounts) -> str:
    changed = f"{count(documents.fixed, 'document')} fixed, {documents.broken} broken"
    unchanged = f"{documents.both_right} right in both, {documents.both_wrong} wrong in both"
    return f"{changed}, {unchanged}; McNemar's p {_p(documents.p_value)}."


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _field(field: FieldComparison, scale: float) -> dict[str, Any]:
    changed = field.documents.fixed or field.documents.broken
    return {
        "field": field,
        "link": filter_link(field=field.field) if changed else None,
        "verdict": "no evidence" if field.verdict == NO_EVIDENCE else field.verdict,
        "tone": _TONES[field.verdict],
        "whisker": plots.difference(field.f1.difference, field.f1.low, field.f1.high, scale),
        "p": _p(field.p_adjusted).removeprefix("= "),
    }


def _left_out(comparison: Comparison) -> list[str]:
    sentences = []
    for side, files in (("A", comparison.only_a), ("B", comparison.only_b)):
        if files:
            verb = "is" if len(files) == 1 else "are"
            sentences.append(f"{count(len(files), 'image')} scored only in {side} {verb} left out.")
    for side, names in (("A", comparison.fields_only_a), ("B", comparison.fields_only_b)):
        if names:
            sentences.append(f"Fields only {side} has are left out: {', '.join(names)}.")
    return sentences


def _setting(value: Any) -> str:
    text = str(value)
    # A hash: its beginning tells two apart.
    return text[:12] if len(text) == 64 and text.isalnum() else text


def _texts(runs: ComparedRuns) -> tuple[list[tuple[str, list[Line]]], list[str]]:
    """The differences of prompt and schema, and a sentence for each that cannot be shown."""
    (a, b), (batch_a, batch_b) = runs.texts, runs.batches
    changed, missing = [], []
    if batch_a.prompt_sha256 != batch_b.prompt_sha256:
        if a.prompt is None or b.prompt is None:
            missing.append("The prompts differ; the text of one was not kept, so the difference cannot be shown.")
        else:
            changed.append(("Prompt", changed_lines(a.prompt, b.prompt)))
    if batch_a.schema_sha256 != batch_b.schema_sha256:
        if a.schema is None or b.schema is None:
            missing.append("The schemas differ; one was not kept, so the difference cannot be shown.")
        else:
            changed.append(("Schema", changed_schema(a.schema, b.schema)))
    return changed, missing


def _list(kind: str, samples: list[SampleChange], shown: set[str]) -> dict[str, Any]:
    files = [(s.file, filter_link(document=kind, search=s.file) if s.file in shown else None) for s in samples]
    return {
        "title": f"{count(len(files), 'document')} {kind}",
        "files": files[:_MOST_FILES],
        "more": max(0, len(files) - _MOST_FILES),
    }
