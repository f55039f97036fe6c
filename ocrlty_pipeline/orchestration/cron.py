"""Cron expressions, read as Dagster reads them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from dagster._utils.schedules import get_latest_completed_cron_tick, get_next_cron_tick, is_valid_cron_schedule

from ocrlty_pipeline.errors import InputError


def check_cron(cron: str, timezone: str) -> None:
    """
    Raises:
        InputError: the expression or the time zone is none.
    """
    if not is_valid_cron_schedule(cron):
        raise InputError(f"cron {cron!r} is no schedule: use five fields, such as '0 3 * * 1' for Mondays at 3.")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise InputError(f"time zone {timezone!r} is unknown: use a name such as UTC or Europe/Berlin.") from None


def latest(cron: str, timezone: str, now: datetime) -> datetime:
    """The last time at or before `now`."""
    return get_latest_completed_cron_tick(cron, now, timezone)


def following(cron: str, timezone: str, now: datetime) -> datetime:
    """The first time after `now`."""
    return get_next_cron_tick(cron, now, timezone)
