"""Links from a page: to its pictures, and to itself with a filter set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a page links to, relative to `base`, which leads from the page to the folder that holds all of it.

    Attributes:
        previews: by file.
        originals: by file; empty where the page lies apart from the store.
    """

    base: str
    previews: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)

    def attach(self, documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The documents, each with its `preview` and its `original`, None where there is none."""
        return [
            {
                **document,
                "preview": self.previews.get(document["file"]),
                "original": self.originals.get(document["file"]),
            }
            for document in documents
        ]


def filter_link(**filters: str) -> str:
    """A fragment that sets the filters of the page's gallery: `field`, `outcome`, `document`, `search`, `sort`."""
    return "#" + urlencode(filters, quote_via=quote)
