"""Dagster's webserver as its UI uses it: over GraphQL, with nothing of this project's in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx2

from ocrlty_pipeline.orchestration.code_location import CODE_LOCATION
from tests.support.waiting import wait_until

REPOSITORY = {"repositoryLocationName": CODE_LOCATION, "repositoryName": "__repository__"}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
BACKFILL_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}

LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
RUNS = """
query ($filter: RunsFilter, $limit: Int) { runsOrError(filter: $filter, limit: $limit) {
  ... on Runs { results { runId status jobName tags { key value } } } } }
"""
BACKFILL = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status numPartitions } } }
"""
CANCEL_BACKFILL = "mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"
MATERIALIZATION = """
query ($key: AssetKeyInput!, $partitions: [String!]) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(limit: 1, partitions: $partitions) { runId metadataEntries {
    label ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
    ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } ... on UrlMetadataEntry { url } } } } } }
"""


class DagsterUi:
    """One webserver."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=60.0)

    def close(self) -> None:
        self._http.close()

    def query(self, query: str, **variables: Any) -> Any:
        answer = self._http.post("/graphql", json={"query": query, "variables": variables})
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, body["errors"]
        (value,) = body["data"].values()
        return value

    def launch(
        self,
        job: str,
        partition: Mapping[str, str] | None = None,
        ops: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch a run as the launchpad does; answers its id."""
        given = {**(partition or {}), **(tags or {})}
        params = {
            "selector": {**REPOSITORY, "jobName": job},
            "runConfigData": {"ops": {op: {"config": config} for op, config in (ops or {}).items()}},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in given.items()]},
        }
        answer = self.query(LAUNCH, params=params)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def run(self, run_id: str) -> tuple[str, dict[str, str]]:
        """A run's status, and its tags."""
        answer = self.query(RUN, id=run_id)
        return answer["status"], {tag["key"]: tag["value"] for tag in answer["tags"]}

    def await_end(self, run_id: str, timeout_s: float = 120.0) -> dict[str, str]:
        """Wait for a run's end; answers its tags once it succeeded."""
        status, tags = wait_until(lambda: (told := self.run(run_id))[0] in ENDED and told, timeout_s)
        assert status == "SUCCESS", (run_id, status)
        return tags

    def runs(self, limit: int = 1000, **filters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.query(RUNS, filter=filters, limit=limit)["results"]
        return found

    def backfill(self, job: str, partitions: Iterable[str]) -> str:
        """Launch a backfill of a job over partitions, as the dialog does; answers its id."""
        selector = {"repositorySelector": REPOSITORY, "partitionSetName": f"{job}_partition_set"}
        answer = self.query(BACKFILL, params={"selector": selector, "partitionNames": list(partitions)})
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        backfill_id: str = answer["backfillId"]
        return backfill_id

    def backfill_status(self, backfill_id: str) -> str:
        status: str = self.query(BACKFILL_STATUS, id=backfill_id)["status"]
        return status

    def backfill_runs(self, backfill_id: str) -> list[dict[str, Any]]:
        return self.runs(tags=[{"key": "dagster/backfill", "value": backfill_id}])

    def cancel_backfill(self, backfill_id: str) -> None:
        assert self.query(CANCEL_BACKFILL, id=backfill_id)["__typename"] == "CancelBackfillSuccess"

    def terminate(self, run_id: str) -> None:
        assert self.query(TERMINATE, id=run_id)["__typename"] == "TerminateRunSuccess"

    def metadata(self, asset: str, partition: str) -> dict[str, Any]:
        """The metadata of an asset's latest materialization, by label."""
        found = self.query(MATERIALIZATION, key={"path": [asset]}, partitions=[partition])
        (latest,) = found["assetMaterializations"]
        return {entry.pop("label"): next(iter(entry.values()), None) for entry in latest["metadataEntries"]}


def partition_tags(image_set: str, task_id: str) -> dict[str, str]:
    """The tags of a run over one image set and task, as the UI sets them."""
    return {
        "dagster/partition": f"{image_set}|{task_id}",
        "dagster/partition/image_set": image_set,
        "dagster/partition/task": task_id,
    }
