"""Requests and answers of the registry of ground truths."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from ocrlty_api.schemas.common import Answer, Id, RequestBody
from ocrlty_pipeline.artifacts.ground_truth_index import ListedGroundTruth
from ocrlty_pipeline.ground_truth_registry import KeptGroundTruth
from ocrlty_pipeline.image_sets import StoredGroundTruth

CONTENT: list[Any] = [{"file": "cord_0001.jpg", "total": "82.50", "tax": None}]
LISTED: dict[str, Any] = {
    "image_set": "receipts",
    "version": 2,
    "draft": False,
    "created_at": "2026-11-24T00:08:40.920583Z",
    "owner_key_id": "debugger-1",
    "source": "gt.json",
    "image_key": "file",
    "entry_count": 1,
}
KEPT = LISTED | {"source_run_id": None, "images_with": 1, "images_without": 2, "entries_without_image": 0}

ImageKey = Annotated[str, Field(min_length=1, max_length=256, description="Key under which an entry names its image.")]
Content = Annotated[
    list[Any] | dict[str, Any], Field(description="An array of entries, or an object of entries keyed by image or id.")
]


class GroundTruthEdit(RequestBody):
    """A whole ground truth: the expected JSON of each image."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"content": CONTENT}]})

    content: Content
    image_key: ImageKey = "file"


class GroundTruthBody(GroundTruthEdit):
    """The first ground truth of an image set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image_set": "receipts", "content": CONTENT}]})

    image_set: Id


class DraftBody(RequestBody):
    """The batch run whose answers the draft begins as."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"run_id": "receipts-0001"}]})

    run_id: Id


class GroundTruthSummary(Answer):
    """The latest version of a ground truth, or of a draft, in a list."""

    image_set: str
    version: int
    draft: bool
    created_at: str
    owner_key_id: str | None
    source: str
    image_key: str
    entry_count: int

    @classmethod
    def of(cls, row: ListedGroundTruth) -> Self:
        created_at = row.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        facts = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate({**facts, "created_at": created_at})


class GroundTruthPage(Answer):
    """Ground truths by image set; `next_cursor` is null on the last page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [LISTED], "limit": 1, "next_cursor": "receipts"}]}
    )

    items: list[GroundTruthSummary]
    limit: int
    next_cursor: str | None


class KeptAnswer(GroundTruthSummary):
    """A version as it was stored, and how many images of the set and entries found each other."""

    model_config = ConfigDict(json_schema_extra={"examples": [KEPT]})

    source_run_id: str | None
    images_with: int
    images_without: int
    entries_without_image: int

    @classmethod
    def of_kept(cls, kept: KeptGroundTruth, *, draft: bool) -> Self:
        match = kept.match
        return cls.model_validate(
            {
                **_facts(kept.stored, draft=draft),
                "images_with": len(match.by_file),
                "images_without": len(match.unmatched_files),
                "entries_without_image": len(match.unmatched_entries),
            }
        )


class GroundTruthAnswer(GroundTruthSummary):
    """A version with its content; `versions` are all that can be read."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [LISTED | {"source_run_id": None, "versions": [1, 2], "content": CONTENT}]}
    )

    source_run_id: str | None
    versions: list[int]
    content: Any

    @classmethod
    def of_stored(cls, stored: StoredGroundTruth, versions: list[int], *, draft: bool) -> Self:
        return cls.model_validate({**_facts(stored, draft=draft), "versions": versions, "content": stored.content})


def _facts(stored: StoredGroundTruth, *, draft: bool) -> dict[str, Any]:
    names = ("image_set", "version", "created_at", "owner_key_id", "source", "image_key", "source_run_id")
    facts = {name: getattr(stored, name) for name in names}
    return {**facts, "draft": draft, "entry_count": len(stored.content)}
