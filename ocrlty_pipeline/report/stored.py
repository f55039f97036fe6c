"""Reports of stored runs: what is fetched for a page, where it is kept, and pages for elsewhere.

A page is an artifact, written once: `reports/<day>/<eval_id>.html`, or `reports/<day>/compare-<hash>.html` by its own
content. Its previews lie beside it in the store, so that the same relative links hold on disk, in a bucket and through
the API.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ocrlty_pipeline.artifacts.keys import report_key
from ocrlty_pipeline.errors import ArtifactNotFoundError, InputError
from ocrlty_pipeline.evaluation.comparison.results import Comparison
from ocrlty_pipeline.evaluation.results import Evaluation, EvaluationIdentity
from ocrlty_pipeline.records import BatchRun
from ocrlty_pipeline.report.comparison_page import ComparedRuns, TaskTexts, comparison_page
from ocrlty_pipeline.report.evaluation_page import EvaluatedRun, evaluation_page
from ocrlty_pipeline.report.links import Pictures
from ocrlty_pipeline.report.previews import make_previews
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.task_texts import prompt_of, schema_of

# From `reports/<day>/` to the top of the store.
_TO_TOP = "../../"


def report_rel(evaluation: EvaluationIdentity) -> str:
    """The key of an evaluation's page, whether or not it is written yet."""
    return report_key(date.fromisoformat(evaluation.created_at[:10]), evaluation.eval_id)


def write_report(services: Services, evaluation: Evaluation) -> str:
    """Write an evaluation's page and its previews, unless they are there; returns the page's key.

    Raises:
        ArtifactNotFoundError: the run that was evaluated is gone.
        StorageUnavailableError: storage or database cannot be used.
    """
    rel = report_rel(evaluation)
    if not asyncio.run(services.store.exists(rel)):
        run = _evaluated(services, evaluation)
        page = evaluation_page(run, asyncio.run(_pictures(services, run.batch, run.gallery.documents)))
        asyncio.run(services.store.put(rel, page))
    return rel


def report_of_run(services: Services, run_id: str) -> str:
    """The key of the page of a run's latest evaluation, which is written if it is not there.

    Raises:
        ArtifactNotFoundError: there is no such run, or it was never evaluated.
    """
    return write_report(services, evaluation_of(services, run_id))


def evaluation_of(services: Services, run_id: str) -> Evaluation:
    """A run's latest evaluation.

    Raises:
        ArtifactNotFoundError: there is no such run, or it was never evaluated.
    """
    row = services.runs.find(run_id)
    evaluation = asyncio.run(services.runs.latest_evaluation(run_id))
    if evaluation is None:
        raise ArtifactNotFoundError(
            f"Run {run_id!r} has no evaluation to report; give image set {row.image_set!r} its ground truth with "
            f"`ocrlty import DIR --name {row.image_set} --gt FILE` and evaluate the run."
        )
    return evaluation


def write_comparison_report(services: Services, comparison: Comparison) -> str:
    """Write a comparison's page and its previews; the same comparison gives the same page and key.

    Raises:
        As `write_report` does.
    """
    runs = _compared(services, comparison)
    page = comparison_page(runs, asyncio.run(_pictures(services, runs.batches[1], runs.gallery.documents)))
    day = max(date.fromisoformat(batch.created_at[:10]) for batch in runs.batches)
    rel = report_key(day, f"compare-{hashlib.sha256(page).hexdigest()[:16]}")
    asyncio.run(services.store.put(rel, page))
    return rel


def export_report(services: Services, shown: Evaluation | Comparison, out: Path) -> None:
    """Write a page for elsewhere: `out`, and its previews in a folder beside it, `<name>_files`.

    Raises:
        InputError: the files cannot be written.
    """
    folder = out.with_name(f"{out.stem}_files")
    runs = _evaluated(services, shown) if isinstance(shown, Evaluation) else _compared(services, shown)
    batch = runs.batch if isinstance(runs, EvaluatedRun) else runs.batches[1]
    inside = asyncio.run(_pictures(services, batch, runs.gallery.documents))
    names = {file: rel.rpartition("/")[2] for file, rel in inside.previews.items()}
    outside = Pictures(f"{quote(folder.name)}/", names)
    page = evaluation_page(runs, outside) if isinstance(runs, EvaluatedRun) else comparison_page(runs, outside)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, rel in inside.previews.items():
            (folder / names[file]).write_bytes(asyncio.run(services.store.get(rel)))
        out.write_bytes(page)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}; name another file.") from None


def _evaluated(services: Services, evaluation: Evaluation) -> EvaluatedRun:
    batch = _batch(services, evaluation.run_id)
    manifest = asyncio.run(services.image_sets.load(batch.image_set, batch.image_set_version))
    return EvaluatedRun.of(evaluation, batch, {item.file: item.bytes for item in manifest.items})


def _compared(services: Services, comparison: Comparison) -> ComparedRuns:
    batches = _batch(services, comparison.a.run_id), _batch(services, comparison.b.run_id)
    return ComparedRuns.of(comparison, batches, (_texts(services, batches[0]), _texts(services, batches[1])))


def _batch(services: Services, run_id: str) -> BatchRun:
    return asyncio.run(services.runs.load(services.runs.find(run_id)))


def _texts(services: Services, batch: BatchRun) -> TaskTexts:
    prompt = asyncio.run(prompt_of(services.store, batch.prompt_sha256))
    return TaskTexts(prompt, asyncio.run(schema_of(services.store, batch.schema_sha256)))


async def _pictures(services: Services, batch: BatchRun, documents: Iterable[dict[str, Any]]) -> Pictures:
    """The previews of the documents that a page shows, made now where they are not there."""
    refs = {item.file: item.input_ref for item in batch.items if item.input_ref is not None}
    originals = {file: refs[file] for file in (document["file"] for document in documents) if file in refs}
    made = await make_previews(services.store, services.image_limits, originals.values())
    return Pictures(_TO_TOP, {file: made[ref] for file, ref in originals.items() if ref in made}, originals)
