"""Commands that show results as a page: `report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.cli.output import results
from ocrlty_pipeline.comparing import compare_runs
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.comparison.results import Comparison
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.report.stored import evaluation_of, export_report, write_comparison_report, write_report
from ocrlty_pipeline.services import Services, open_services
from ocrlty_pipeline.settings import load_settings


def report(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of an evaluated batch run.")],
    *,
    against: Annotated[str | None, typer.Option(help="Id of a run to compare it with, instead.")] = None,
    intersection: Annotated[bool, typer.Option(help="Compare the images that both runs have.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page here, with its previews in a folder beside it.")
    ] = None,
) -> None:
    """Show a run's evaluation, or its comparison with another run, as an HTML page; prints where it is."""
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        shown: Evaluation | Comparison = (
            evaluation_of(services, run_id)
            if against is None
            else compare_runs(services, against, run_id, intersection=intersection)
        )
        place = _write(services, shown, out)
    results.print(place, soft_wrap=True, markup=False)
    if open_:
        _open(place)


def _write(services: Services, shown: Evaluation | Comparison, out: Path | None) -> str:
    if out is not None:
        export_report(services, shown, out)
        return str(out.resolve())
    if isinstance(shown, Evaluation):
        return services.store.full_ref(write_report(services, shown))
    return services.store.full_ref(write_comparison_report(services, shown))


def _open(place: str) -> None:
    if place.startswith("s3://"):
        raise InputError(f"{place} lies in a bucket, which a browser does not open; write the page with --out FILE.")
    if not webbrowser.open(Path(place).as_uri()):
        raise InputError(f"No browser was found; open {place} yourself.")
