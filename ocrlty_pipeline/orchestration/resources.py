"""The one resource: it hands the domain's objects to assets and IO managers, and closes them after the run."""

from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import dagster as dg
from pydantic import PrivateAttr

from ocrlty_pipeline.services import Services
from ocrlty_pipeline.settings import load_settings

T = TypeVar("T")


class OcrltyResource(dg.ConfigurableResource[Services]):
    """The domain's objects, built from the environment of the run's process."""

    _services: Services | None = PrivateAttr(default=None)
    _held: ExitStack = PrivateAttr(default_factory=ExitStack)

    @property
    def services(self) -> Services:
        if self._services is None:
            self._services = Services(load_settings())
        return self._services

    def held_open(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that is left when the run ends, after its outputs are stored."""
        return self._held.enter_context(context)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 -- Dagster's signature
        self._held.close()
        if self._services is not None:
            self._services.close()
            self._services = None
