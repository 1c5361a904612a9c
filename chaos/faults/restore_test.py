"""The test of a restore: every backup is restored beside the cluster, to a point in time.

No fault: what ReCyF 13.2 and PGSSI-S 7.4.5.2 ask for at least once a year. The point in time is
named by an entry of the ledger; what was restored is read and compared with the history (the
checker ``restore``), then removed. The cluster notices nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.targets import Victim
from cluster.substrates.base import DiskEditable, Haltable
from cluster.toml.reader import TomlTable

KEY = "restore-test"
LATER_S = 2.0
LATER_S_MAX = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTestParams(FaultParams):
    """How much must be left out."""

    later_s: float = LATER_S
    """How long entries go on after the one that names the point in time."""


def read(table: TomlTable) -> RestoreTestParams:
    """``later_s``."""
    asked = table.number("later_s", minimum=0.0, maximum=LATER_S_MAX, default=LATER_S)
    return RestoreTestParams(later_s=asked)


async def restore(stage: Stage, victim: Victim, params: RestoreTestParams) -> str:
    """Name an entry, wait, restore up to it, read. Proof: servers that may write."""
    act: Callable[..., Awaitable[str]] = resolve_name("chaos.load.backups:restore_all")
    return await act(stage.cluster, stage.folder, params.later_s)


RESTORE_TEST = FaultKind(
    key=KEY,
    words=FaultWords(
        title="restore tested",
        healed="restore tested",
        noun=lambda _: "the test of a restore",
        clause=lambda _: "a restore was tested",
    ),
    params=RestoreTestParams,
    read=read,
    takes=("cluster",),
    needs=(DiskEditable, Haltable),
    lasts=False,
    effect=lambda params: "none",
    strike=restore,
    undo=nothing_to_undo,
    draw=None,
)
