"""Commands that hand results on: `export`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.cli.output import say
from ocrlty_pipeline.datasets.export import export_items
from ocrlty_pipeline.orchestration.stack import running_stack
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings


def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of a batch run.")],
    file: Annotated[Path, typer.Argument(help="Where to: .csv, .jsonl or .parquet, which names the format.")],
) -> None:
    """Write a run's predictions, and its scores where it was evaluated, as a table with a row an image."""
    with running_stack(load_settings()) as settings, open_services(settings) as services:
        runs = services.runs
        batch = asyncio.run(runs.load(runs.find(run_id)))
        evaluation = asyncio.run(runs.latest_evaluation(run_id))
        count = export_items(file, batch.items, evaluation)
    scored = "without scores: it has no evaluation" if evaluation is None else f"scores of {evaluation.eval_id}"
    say(f"{count} images of {run_id} in {file}, {scored}.")
