"""One place that builds the domain's objects from settings, each on first use: for Dagster, the CLI and the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from ocrlty_pipeline.artifacts.ground_truth_index import GroundTruthIndex, ground_truth_row
from ocrlty_pipeline.artifacts.index import ArtifactIndex
from ocrlty_pipeline.artifacts.run_items import RunItems
from ocrlty_pipeline.artifacts.store import ArtifactStore
from ocrlty_pipeline.baselines import Baselines
from ocrlty_pipeline.batches.journal import BatchJournal
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.errors import ConfigError
from ocrlty_pipeline.ground_truth_drafts import GroundTruthDrafts
from ocrlty_pipeline.ground_truth_registry import GroundTruths
from ocrlty_pipeline.image_sets import FolderLimits, ImageSets
from ocrlty_pipeline.images import ImageLimits
from ocrlty_pipeline.rerun_schedules import RerunSchedules
from ocrlty_pipeline.runs import Runs
from ocrlty_pipeline.settings import Settings
from ocrlty_pipeline.tasks.registry import TaskRegistry, load_tasks
from ocrlty_pipeline.webhooks.delivery import Deliveries
from ocrlty_pipeline.webhooks.registry import Webhooks
from ocrlty_pipeline.webhooks.signing import Signer


class Services:
    """The domain's objects of one process; close it to return its database connections."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def tasks(self) -> TaskRegistry:
        return load_tasks(self.settings.ocrlty_tasks_dir)

    @cached_property
    def store(self) -> ArtifactStore:
        return ArtifactStore.from_settings(self.settings)

    @cached_property
    def engine(self) -> Engine:
        """
        Raises:
            ConfigError: no database is named; the commands of `ocrlty` start the embedded one and name it.
        """
        url = self.settings.database_url
        if url is None:
            raise ConfigError(
                "DATABASE_URL is not set: use `ocrlty ...`, which starts the embedded database, or run "
                '`eval "$(ocrlty env)"` beside `ocrlty up`, or name a PostgreSQL server of your own.'
            )
        return create_engine(url.get_secret_value())

    @cached_property
    def index(self) -> ArtifactIndex:
        return ArtifactIndex(self.engine)

    @cached_property
    def run_items(self) -> RunItems:
        return RunItems(self.engine)

    @cached_property
    def image_sets(self) -> ImageSets:
        return ImageSets(self.store, noted=self._note)

    def image_sets_of(self, owner: str) -> ImageSets:
        """The image sets, for one who adds to them: `owner` is whose inputs they become."""
        return ImageSets(self.store, owner=owner, noted=self._note)

    @cached_property
    def ground_truth_index(self) -> GroundTruthIndex:
        return GroundTruthIndex(self.engine)

    @cached_property
    def ground_truths(self) -> GroundTruths:
        return GroundTruths(self.store, self.image_sets, self.ground_truth_index)

    @cached_property
    def ground_truth_drafts(self) -> GroundTruthDrafts:
        return GroundTruthDrafts(self.ground_truths, self.runs)

    @cached_property
    def journal(self) -> BatchJournal:
        return BatchJournal(self.engine)

    @cached_property
    def rerun_schedules(self) -> RerunSchedules:
        return RerunSchedules(self.engine)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.store, self.index, self.run_items)

    @cached_property
    def baselines(self) -> Baselines:
        return Baselines(self.engine)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.engine)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.engine)

    @cached_property
    def signer(self) -> Signer:
        """
        Raises:
            ConfigError: API_KEY_PEPPER is missing or too short.
        """
        return Signer.from_settings(self.settings)

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.settings.max_image_bytes, self.settings.max_image_pixels)

    @property
    def folder_limits(self) -> FolderLimits:
        return FolderLimits(self.image_limits, self.settings.max_batch_files, self.settings.max_batch_bytes)

    def _note(self, rel: str, facts: Mapping[str, Any]) -> None:
        self.ground_truth_index.add([ground_truth_row(rel, facts)])

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Services that are closed at the end of the block."""
    services = Services(settings)
    try:
        yield services
    finally:
        services.close()
