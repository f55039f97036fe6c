"""The one resource: it hands the domain's objects to assets and IO managers.

The objects live as long as the process: a warm worker keeps its connections and its tasks from run to run.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import TypeVar

import dagster as dg
from pydantic import PrivateAttr

from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import load_settings

T = TypeVar("T")


@cache
def process_services() -> Services:
    """The domain's objects of this process, built from its environment on first use."""
    return Services(load_settings())


class OcrltyResource(dg.ConfigurableResource[Services]):
    """The domain's objects, and what a run holds open."""

    _held: ExitStack = PrivateAttr(default_factory=ExitStack)

    @property
    def services(self) -> Services:
        return process_services()

    def held_open(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that is left when the run ends, after its outputs are stored."""
        return self._held.enter_context(context)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call something when the run ends, after its outputs are stored."""
        self._held.callback(callback)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 -- Dagster's signature
        self._held.close()
