"""A host's cable is pulled: both sides hear only silence, and no connection breaks."""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import Stage
from cluster.substrate import Cuttable


class LinkCut:
    """Cut the link of a host."""

    needs: ClassVar[tuple[str, ...]] = ("cut-link",)
    lasts: ClassVar[bool] = True

    def __init__(self, *, host: str, process: str | None) -> None:
        self._host = host

    async def inject(self, stage: Stage) -> str:
        """Pull the cable."""
        await stage.able(Cuttable).cut_link(self._host)
        return "cable pulled: silence in both directions"

    async def heal(self, stage: Stage) -> str:
        """Plug it in again."""
        await stage.able(Cuttable).heal_link(self._host)
        return "cable plugged in again"
