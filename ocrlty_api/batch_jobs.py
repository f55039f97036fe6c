"""A batch as a job: from a draft to a run in Dagster's queue.

Belongs here: what such a run is launched with. Does not: checking what was asked (`batching`), or what becomes of the
job (`jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from ocrlty_api.auth.roles import Principal
from ocrlty_api.batch_answers import refuse_taken, submit_batch
from ocrlty_api.batching import BatchDraft
from ocrlty_api.lanes.batches import prepare_run
from ocrlty_api.state import AppState


async def submit_batch_job(state: AppState, key: Principal, draft: BatchDraft) -> str:
    """Submit a batch once; answers the job's id.

    Raises:
        ConflictError: its run_id stands for other content.
        QuotaExceededError: the key's images are used up.
        DagsterUnavailableError: jobs cannot be submitted.
    """
    asked = orjson.dumps(draft.request).decode()
    run = replace(draft.run, extraction={**draft.run.extraction, "request": asked})

    async def launch(tags: Mapping[str, str]) -> str:
        await refuse_taken(state, key, draft)
        await state.limiter.count_images(key, draft.images)
        await draft.prepare()
        config, run_tags = await prepare_run(state.shared, run, key.auth())
        return await state.durable.launch(draft.kind, run.job, config, {**run_tags, **tags})

    submitted = await submit_batch(state, draft, launch, as_job=True)
    return submitted.dagster_run_id
