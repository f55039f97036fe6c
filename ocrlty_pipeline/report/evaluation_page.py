"""The page of one evaluation: which figures, tables, plots and documents it shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocrlty_pipeline.evaluation.headline import headline
from ocrlty_pipeline.evaluation.results import Evaluation, FieldScore
from ocrlty_pipeline.records import BatchItem, BatchRun
from ocrlty_pipeline.report import plots
from ocrlty_pipeline.report.gallery import Gallery, faulty_documents
from ocrlty_pipeline.report.links import Pictures, filter_link
from ocrlty_pipeline.report.page import render
from ocrlty_pipeline.report.wording import OUTCOMES, count, milliseconds, verdict

_KINDS = ("mismatch", "canon_error", "type_mismatch", "pred_missing", "gt_missing")
_MOST_PLACES = 12
_EXAMPLE = 300


@dataclass(frozen=True, slots=True)
class EvaluatedRun:
    """An evaluation and what its page shows beside it.

    Attributes:
        gallery: its documents with a fault.
        sizes: of the images, bytes by file.
    """

    evaluation: Evaluation
    batch: BatchRun
    gallery: Gallery
    sizes: Mapping[str, int]

    @classmethod
    def of(cls, evaluation: Evaluation, batch: BatchRun, sizes: Mapping[str, int]) -> EvaluatedRun:
        return cls(evaluation, batch, faulty_documents(evaluation, batch), sizes)


def evaluation_page(run: EvaluatedRun, pictures: Pictures) -> bytes:
    """The page as UTF-8; the same arguments give the same bytes.

    Args:
        run: what is shown.
        pictures: of the gallery's documents.
    """
    evaluation, summary = run.evaluation, run.evaluation.summary
    estimates = summary.estimates
    return render(
        "evaluation.html.j2",
        _data(run, pictures),
        title=f"{evaluation.image_set}, {evaluation.run_id} · OCRlty",
        kind="Evaluation",
        heading=f"{evaluation.image_set}, {evaluation.task_id}",
        verdict=verdict(evaluation),
        tone="",
        facts=_facts(run),
        evaluation=evaluation,
        scored=summary.scored_count,
        resamples=estimates and estimates.resamples,
        seed=estimates and estimates.seed,
        figures=[_figure(figure) for figure in headline(summary)],
        fields=[_field(path, score, linked=score.matched < _seen(score)) for path, score in evaluation.fields.items()],
        total=_field("all fields", summary.micro, linked=False),
        failures=_failures(run),
        violations=_violations(run.batch.items),
        checks=_checks(run),
        left_out=_left_out(evaluation),
        **_plots(run),
        gallery={
            "title": "Documents with a fault",
            "kind_label": "Fault",
            "total": run.gallery.total,
            "shown": len(run.gallery.documents),
            "note": "What was expected beside what was predicted; marked characters are those that differ.",
            "none": "There are none." if summary.scored_count else "Nothing was scored.",
        },
    )


def _data(run: EvaluatedRun, pictures: Pictures) -> dict[str, Any]:
    return {
        "columns": ["Expected", "Predicted"],
        "fields": list(run.evaluation.fields),
        "outcomes": OUTCOMES,
        "kinds": {kind: OUTCOMES[kind] for kind in _KINDS},
        "documents_by": {"failed": "failed", "read": "read", "checked": "fails a check"},
        "sorts": {"": "place in the image set", "faults": "most faults", "slowest": "slowest", "file": "file name"},
        "base": pictures.base,
        "documents": pictures.attach(run.gallery.documents),
    }


def _facts(run: EvaluatedRun) -> list[tuple[str, str]]:
    evaluation, batch, summary = run.evaluation, run.batch, run.evaluation.summary
    images = f"{summary.sample_count:,}"
    if batch.pending_count:
        images += f" of {batch.item_count:,}; the run {batch.status}"
    facts = [
        ("Run", batch.run_id),
        ("Images", images),
        ("Model", f"{batch.model_id} ({batch.backend})"),
        ("Prompt", batch.prompt_sha256[:12]),
        ("Schema", batch.schema_sha256[:12]),
        ("Ground truth", f"version {evaluation.ground_truth_version}"),
        ("Run ended", batch.finished_at[:16].replace("T", " ") + " UTC"),
    ]
    if summary.latency_ms is not None:
        facts.append(("Median time", milliseconds(summary.latency_ms.p50)))
    return facts + [(f"Tokens, {name.removesuffix('_tokens')}", f"{n:,}") for name, n in summary.tokens.items()]


def _figure(figure: Any) -> dict[str, Any]:
    return {
        "label": figure.label,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "whisker": plots.whisker(figure.value, figure.low, figure.high),
    }


def _seen(score: FieldScore) -> int:
    return score.support + score.gt_missing


def _field(path: str, score: FieldScore, *, linked: bool) -> dict[str, Any]:
    wrong = score.mismatch + score.canon_error + score.type_mismatch
    return {
        "path": path,
        "link": filter_link(field=path) if linked else None,
        "score": score,
        "wrong": wrong,
        "bar": plots.outcome_bar(score),
        "words": f"{path}: {score.matched} matched, {wrong} wrong, {score.pred_missing} missing, "
        f"{score.gt_missing} invented",
    }


def _checks(run: EvaluatedRun) -> list[dict[str, Any]]:
    """How many images each check without ground truth holds on, with the first problem's words."""
    examples: dict[str, str] = {}
    for item in run.batch.items:
        for violation in item.violations:
            examples.setdefault(violation.check, violation.message[:_EXAMPLE])
    linked = {check for document in run.gallery.documents for check, _ in document["checks"]}
    return [
        {
            "name": name,
            "count": check,
            "link": filter_link(document="checked", search=name) if name in linked else None,
            "example": examples.get(name, ""),
        }
        for name, check in run.batch.checks.items()
    ]


def _failures(run: EvaluatedRun) -> list[dict[str, Any]]:
    """Failed images by code, with the first one's message."""
    faulty = {document["file"] for document in run.gallery.documents}
    failed = {sample.file: sample.error for sample in run.evaluation.samples if sample.error}
    listed = [(failed.get(item.file, item.error and item.error.code), item) for item in run.batch.items]
    rows = []
    for code, number in run.evaluation.summary.errors.items():
        item = next((item for own, item in listed if own == code), None)
        shown = item is not None and item.file in faulty
        message = item.error.message if item and item.error else ""
        rows.append(
            {
                "code": code,
                "count": number,
                "link": filter_link(document="failed", search=code) if shown else None,
                "example": message[:_EXAMPLE],
            }
        )
    return rows


def _violations(items: Iterable[BatchItem]) -> list[dict[str, Any]]:
    """Places at which answers depart from the schema, by the number of images, items of arrays taken together."""
    images: dict[str, int] = {}
    examples: dict[str, str] = {}
    for item in items:
        places = {re.sub(r"\[\d+\]", "[]", error.path): error.message for error in item.schema_errors or ()}
        for place, message in places.items():
            images[place] = images.get(place, 0) + 1
            examples.setdefault(place, message[:_EXAMPLE])
    ordered = sorted(images, key=lambda place: (-images[place], place))
    return [{"code": place, "count": images[place], "example": examples[place]} for place in ordered[:_MOST_PLACES]]


def _left_out(evaluation: Evaluation) -> list[str]:
    """What the figures do not tell of."""
    sentences = []
    if evaluation.not_scored:
        verb = "has" if len(evaluation.not_scored) == 1 else "have"
        sentences.append(f"{count(len(evaluation.not_scored), 'image')} {verb} no ground truth.")
    if evaluation.gt_without_sample:
        sentences.append(f"{count(len(evaluation.gt_without_sample), 'image')} with ground truth were not reached.")
    if evaluation.gt_without_image:
        number = count(len(evaluation.gt_without_image), "entry", "entries")
        sentences.append(f"{number} of the ground truth name no image of the set.")
    for what, keys in (
        ("Answers hold", evaluation.summary.outside_predicted),
        ("The ground truth holds", evaluation.summary.outside_expected),
    ):
        if keys:
            named = ", ".join(f"{key} ({number})" for key, number in list(keys.items())[:_MOST_PLACES])
            sentences.append(f"{what} keys that the schema does not know: {named}.")
    return sentences


def _plots(run: EvaluatedRun) -> dict[str, Any]:
    latency = run.evaluation.summary.latency_ms
    timed = [item for item in run.batch.items if item.timings_ms.total > 0]
    if latency is None or not timed:
        return {"histogram": None, "scatter": None, "latency_words": "", "scatter_words": ""}
    marks = {"median": latency.p50, "95th percentile": latency.p95}
    points = _points(run, timed)
    scatter = plots.size_scatter(points) if points else None
    words = f"Median {milliseconds(latency.p50)}, 95th percentile {milliseconds(latency.p95)}"
    return {
        "histogram": plots.latency_histogram([item.timings_ms.total for item in timed], marks),
        "scatter": scatter,
        "latency_words": f"{words} (the upright lines), longest {milliseconds(latency.max)}.",
        "scatter_words": f"{scatter.shown:,} of {scatter.total:,} images are drawn."
        if scatter and scatter.shown < scatter.total
        else "",
    }


def _points(run: EvaluatedRun, timed: Iterable[BatchItem]) -> list[tuple[int, float, str]]:
    kinds = {
        sample.file: "failed" if sample.error else "right" if sample.exact else "wrong"
        for sample in run.evaluation.samples
    }
    return [
        (size, item.timings_ms.total, kinds.get(item.file, "unscored"))
        for item in timed
        if (size := run.sizes.get(item.file))
    ]
