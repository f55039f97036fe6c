"""Requests and answers of the debug endpoints."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from ocrlty_api.schemas.common import Answer, Id, RequestBody
from ocrlty_api.schemas.runs import EVALUATION, example
from ocrlty_pipeline.artifacts.index import IndexRow

LISTED = {
    "kind": "extract",
    "request_id": "a90e4d5e849356ab36faed7bb405ee47",
    "rel_path": "extracts/2026-11-24/a90e4d5e849356ab36faed7bb405ee47.json",
    "created_at": "2026-11-24T00:08:40.920583+00:00",
}


class ListedArtifact(Answer):
    """One artifact; `request_id` is its id, of whatever kind it is."""

    kind: str
    request_id: str
    rel_path: str
    created_at: str

    @classmethod
    def of(cls, row: IndexRow) -> Self:
        return cls(
            kind=row.kind,
            request_id=row.artifact_id,
            rel_path=row.rel_ref,
            created_at=row.created_at.isoformat(timespec="microseconds"),
        )


class ArtifactList(Answer):
    """Artifacts of all kinds, newest first."""

    model_config = example({"items": [LISTED]})

    items: list[ListedArtifact]


class ArtifactDocument(Answer):
    """An artifact as it is stored, whatever its kind."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"created_at": "2026-11-24T00:08:40.920583Z"}]}
    )

    created_at: str


class ScoreBody(RequestBody):
    """A batch run, and what to score it against: the stored ground truth of its image set unless another is given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"run_id": "receipts-0001", "ground_truth": [{"file": "cord_0001.jpg", "total": "82.50"}]}]
        }
    )

    run_id: Id
    ground_truth: list[Any] | dict[str, Any] | None = Field(
        None, description="An array of records, or an object keyed by id."
    )
    gt_path: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="A JSON file on the server, under DATA_ROOT."
    )
    gt_image_key: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description='Key under which a record names its image; "file" unless the stored ground truth has another.'
    )
    version: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None, description="Of the stored ground truth; null takes the latest."
    )

    @model_validator(mode="after")
    def _one_ground_truth(self) -> Self:
        given = [name for name in ("ground_truth", "gt_path", "version") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; give one of them, or none for the stored ground truth")
        return self


class ScoreAnswer(Answer):
    """An evaluation as the `eval` block of its run has it; `ground_truth_version` is null where one was given."""

    model_config = example(
        {name: EVALUATION[name] for name in ("eval_id", "run_id", "ground_truth_version", "summary", "fields")}
        | {"by_request_id": {}, "eval_artifact_rel": "evals/2026-11-24/eval-0011223344556677.json"}
    )

    eval_id: str
    run_id: str
    ground_truth_version: int | None
    summary: dict[str, Any]
    fields: dict[str, Any]
    by_request_id: dict[str, Any]
    eval_artifact_rel: str
