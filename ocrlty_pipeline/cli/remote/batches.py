"""`ocrlty batch`: the images of a folder, uploaded to a running service and extracted there as one job."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from ocrlty_pipeline.cli.display import ProgressDisplay
from ocrlty_pipeline.cli.output import print_json, print_run, say
from ocrlty_pipeline.cli.remote.client import remote_service, segment
from ocrlty_pipeline.cli.remote.following import follow_job
from ocrlty_pipeline.cli.remote.multipart import Upload
from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.image_folders import EVERY_FILE, folder_files
from ocrlty_pipeline.settings import load_settings


def batch(  # noqa: PLR0913 -- one parameter an option
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images on this machine.")],
    task: Annotated[str, typer.Option(help="What to extract, for example receipt_fields_v1.")],
    *,
    glob: Annotated[str, typer.Option(help="Which files of the folder.")] = EVERY_FILE,
    gt: Annotated[Path | None, typer.Option(help="Ground-truth JSON file on this machine.")] = None,
    gt_image_key: Annotated[str, typer.Option(help="Key under which an entry names its image.")] = "file",
    run_id: Annotated[str | None, typer.Option(help="Id of the run; the same id again gives the same run.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print the run as one JSON document.")] = False,
) -> None:
    """Extract a folder through the service at OCRLTY_URL; exit code 1 unless the run succeeds."""
    settings = load_settings()
    found = folder_files(folder, glob, folder.resolve())
    run = run_id or f"cli-{uuid.uuid4().hex[:16]}"
    fields = {"task_id": task, "run_id": run, "concurrency": concurrency, "gt_image_key": gt_image_key if gt else None}
    files = [("files", name, found.folder / name) for name in found.names]
    if gt is not None:
        if not gt.is_file():
            raise InputError(f"{gt} is no file.")
        files.append(("gt", gt.name, gt))
    with remote_service(settings) as service:
        with ProgressDisplay(f"Sending {len(found.names)} images") as display:
            upload = Upload(
                {name: str(value) for name, value in fields.items() if value is not None},
                files,
                lambda sent: display.show({"done": sent, "total": len(files), "ok": sent, "err": 0}),
            )
            job = service.send("/v1/batch_extract_upload_async", upload.body, upload.headers)
        if not wait:
            say(f"Follow it with `ocrlty jobs {job['job_id']} --wait`; its run is {run}.")
            return
        follow_job(service, job["job_id"], title=f"Extracting {run}")
        document = service.get(f"/v1/runs/{segment(run)}")
    print_json(document) if json else print_run(document, None)
