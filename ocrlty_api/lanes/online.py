"""The online lane of the API: single extracts, executed at once by warm workers of its own."""

from __future__ import annotations

from ocrlty_api.lanes.instance import SharedInstance
from ocrlty_pipeline.orchestration.warm.lane import LaneOptions, OnlineLane

__all__ = ["OnlineLane", "online_lane"]


def online_lane(shared: SharedInstance) -> OnlineLane:
    """A lane that records its runs in the shared instance; enter it to start its workers."""
    options = LaneOptions.from_settings(shared.settings, log=shared.settings.log_dir / "online-workers.log")
    return OnlineLane(shared.instance.get_ref(), options)
