"""Where the files beside the packages are: in a checkout at its top, in an installed wheel within the package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def deployment_file(name: str) -> Path:
    """Path of `dagster.yaml`, `workspace.yaml` or `migrations`.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (PACKAGE / "deployment_files", PACKAGE.parent):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{name} is neither beside nor inside {PACKAGE}; reinstall ocrlty.")
