"""`ocrlty runs`: finished batch runs of a service."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from ocrlty_pipeline.cli.output import print_json, print_table
from ocrlty_pipeline.cli.remote.client import remote_service, segment
from ocrlty_pipeline.settings import load_settings


def runs(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Print this one as JSON.")] = None,
    *,
    task: Annotated[str | None, typer.Option(help="Only runs of this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to list.")] = 20,
) -> None:
    """List the batch runs of the service at OCRLTY_URL, newest first, or print one."""
    with remote_service(load_settings()) as service:
        if run_id is not None:
            print_json(service.get(f"/v1/runs/{segment(run_id)}"))
        else:
            print_table(_table(service.get("/v1/runs", task_id=task, limit=limit)["items"]))


def _table(runs: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("run", "task", "created", "images", "errors", "F1"):
        table.add_column(name, no_wrap=True, justify="left" if name in {"run", "task", "created"} else "right")
    for run in runs:
        counts = (str(run["item_count"]), str(run["error_count"]))
        table.add_row(run["run_id"], run["task_id"], run["created_at"], *counts, _f1(run["eval_summary"]))
    return table


def _f1(summary: dict[str, Any] | None) -> str:
    value = None if summary is None else summary["micro"]["f1"]
    return "-" if value is None else f"{value:.1%}"
