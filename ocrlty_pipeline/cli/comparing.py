"""Commands that tell whether it got better: `compare`, `gate`, `baseline`, `leaderboard`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from ocrlty_pipeline.baselines import Baseline
from ocrlty_pipeline.cli.comparison_output import print_baselines, print_comparison, print_leaderboard
from ocrlty_pipeline.cli.output import print_json, results, say
from ocrlty_pipeline.comparing import changed_texts, compare_runs
from ocrlty_pipeline.errors import ArtifactNotFoundError, InputError
from ocrlty_pipeline.evaluation.comparison.gate import Metric, gate
from ocrlty_pipeline.leaderboards import leaderboard as ranked_runs
from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings

Action = Literal["set", "show", "clear"]


@contextmanager
def _services() -> Iterator[Services]:
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        yield services


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Id of the batch run to compare with.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Id of the batch run in question.")],
    *,
    intersection: Annotated[bool, typer.Option("--intersection", help="Compare the images of both runs only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole comparison as JSON.")] = False,
) -> None:
    """Tell whether run B is better than run A, where, and whether by more than chance."""
    with _services() as services:
        found = compare_runs(services, a, b, intersection=intersection)
        texts = changed_texts(services, found)
    if json:
        print_json({**found.model_dump(mode="json"), "texts": [asdict(text) for text in texts]})
    else:
        print_comparison(found, texts)


def gate_(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the batch run to let through or not.")],
    baseline_id: Annotated[str, typer.Option("--baseline", metavar="RUN", help="Id of the run it is held against.")],
    max_drop: Annotated[float, typer.Option(help="How far the metric may fall; 0.01 is a percentage point.")] = 0.01,
    metric: Annotated[Metric, typer.Option(help="Micro F1, documents all right, or ANLS*.")] = "f1",
    *,
    intersection: Annotated[bool, typer.Option("--intersection", help="Hold the images of both only.")] = False,
) -> None:
    """Exit with 1, and the reason, where a run fell further behind its baseline than allowed."""
    with _services() as services:
        found = compare_runs(services, baseline_id, run_id, intersection=intersection)
    outcome = gate(found, max_drop, metric)
    results.print(f"{'Passed' if outcome.passed else 'Failed'}: {outcome.reason}", soft_wrap=True)
    if not outcome.passed:
        raise typer.Exit(1)


def baseline(  # noqa: PLR0913 -- a command's parameters are its words and options
    action: Annotated[Action, typer.Argument(help="set, show or clear.")],
    image_set: Annotated[str | None, typer.Argument(metavar="SET", help="Name of the image set.")] = None,
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="Id of the task.")] = None,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Id of the batch run; for set.")] = None,
    *,
    max_drop: Annotated[float, typer.Option(help="How far micro F1 may fall; 0.01 is a percentage point.")] = 0.01,
    blocking: Annotated[bool, typer.Option("--blocking", help="Fail the job of a run that fell further.")] = False,
) -> None:
    """Set, show or clear the run that later ones of an image set and task are held against."""
    with _services() as services:
        if action == "show":
            print_baselines(_shown(services, image_set, task))
        elif image_set is None or task is None or (action == "set" and run_id is None):
            raise InputError(f"baseline {action} needs more: ocrlty baseline set SET TASK RUN, or clear SET TASK.")
        elif action == "clear":
            _clear(services, image_set, task)
        else:
            _check(services, image_set, task, str(run_id))
            kept = services.baselines.set(image_set, task, str(run_id), max_drop=max_drop, blocking=blocking)
            print_baselines([kept])


def _shown(services: Services, image_set: str | None, task: str | None) -> list[Baseline]:
    return [b for b in services.baselines.all() if image_set in {None, b.image_set} and task in {None, b.task_id}]


def _check(services: Services, image_set: str, task: str, run_id: str) -> None:
    row = services.runs.find(run_id)
    if (row.image_set, row.task_id) != (image_set, task):
        raise InputError(
            f"Run {run_id!r} is of image set {row.image_set!r} and task {row.task_id!r}, not of {image_set!r} and "
            f"{task!r}; a baseline is a run of its own image set and task."
        )


def _clear(services: Services, image_set: str, task: str) -> None:
    if not services.baselines.clear(image_set, task):
        raise InputError(f"No baseline is set for image set {image_set!r} and task {task!r}: see ocrlty baseline show.")
    say(f"No baseline for {image_set} with {task} any more.")


def leaderboard(
    image_set: Annotated[str, typer.Argument(metavar="SET", help="Name of the image set.")],
    task: Annotated[str | None, typer.Option(help="Only runs through this task.")] = None,
) -> None:
    """Rank all batch runs of an image set."""
    with _services() as services:
        table = ranked_runs(services, image_set, task)
    if table.empty:
        through = "" if task is None else f" with task {task!r}"
        raise ArtifactNotFoundError(
            f"No batch run of image set {image_set!r}{through} yet; start one with `ocrlty run {image_set}`."
        )
    print_leaderboard(table)
