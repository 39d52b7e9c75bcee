"""Homes on network file systems: a warning that names the remedy."""

from __future__ import annotations

import warnings
from pathlib import Path

from nbtasks.core import disk
from nbtasks.errors import NetworkHomeWarning

__all__ = ["REMEDY", "warn_of_network"]

REMEDY = (
    "choose a home on a local disk with nb.configure(home=...) or NBTASKS_HOME, and share what it "
    "holds: large values by nb.configure(store=...), its history by nb.publish, a run by "
    "nb.export_run"
)


def warn_of_network(home: Path) -> None:
    """Warn if a home is on a network file system."""
    if (found := disk.network(home)) is not None:
        warnings.warn(
            f"The home {home} is on a network file system ({found}), where file locks may not "
            "reach from one machine to another, and syncs may be lost. Use it from one machine at "
            f"a time; or {REMEDY}.",
            NetworkHomeWarning,
            stacklevel=2,
        )
