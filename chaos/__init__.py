"""Breaks a cluster on purpose and judges what happened: drills, checkers, reports, the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaoslib.types import Discovery


def discover(discover_system: bool = True) -> Discovery:
    """What ``chaos discover bascule`` of Chaos Toolkit asks the package for (``chaos.toolkit``)."""
    from chaos import toolkit  # noqa: PLC0415 (nothing is imported for those who do not ask)

    return toolkit.discover(discover_system)
