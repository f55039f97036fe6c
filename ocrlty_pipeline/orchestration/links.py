"""Links on a materialization: to the pages that the API serves, and to the runs in Dagster that things came from."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import dagster as dg

from ocrlty_pipeline.errors import ArtifactNotFoundError
from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import Settings


def run_links(services: Services, **batch_run_ids: str | None) -> dict[str, Any]:
    """Links to the Dagster runs of batch runs, each under the name it is given; of those that have one."""
    found = {name: _dagster_run(services, run_id) for name, run_id in batch_run_ids.items() if run_id is not None}
    return {name: dg.MetadataValue.dagster_run(run_id) for name, run_id in found.items() if run_id is not None}


def _dagster_run(services: Services, run_id: str) -> str | None:
    try:
        return services.runs.find(run_id).dagster_run_id
    except ArtifactNotFoundError:
        return None  # It may have been deleted since.


def page_link(settings: Settings, rel: str) -> dg.UrlMetadataValue:
    """Where the API serves a report, to whoever may see it."""
    return dg.MetadataValue.url(f"{settings.ocrlty_url}/v1/reports/{quote(rel)}")


def run_link(settings: Settings, run_id: str) -> dg.UrlMetadataValue:
    """Where the API serves a batch run."""
    return dg.MetadataValue.url(f"{settings.ocrlty_url}/v1/runs/{quote(run_id)}")


def comparison_link(settings: Settings, a: str, b: str) -> dg.UrlMetadataValue:
    """Where the API compares run `b` with run `a`."""
    return dg.MetadataValue.url(f"{settings.ocrlty_url}/v1/runs/compare?{urlencode({'a': a, 'b': b})}")
