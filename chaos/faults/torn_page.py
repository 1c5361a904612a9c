"""One page of a table on a host's disk is torn: half of it was written, as by a power cut.

Only its checksum shows it, when the page is read from the disk again.
"""

from __future__ import annotations

from chaos.faults.base import (
    NO_PARAMS,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.disk import disks_of, has_no_postgres
from chaos.faults.targets import HOSTS, Victim
from cluster.substrates.base import DiskBreakable


async def tear(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Tear a page that recovery would not restore; proved by what is on the disk then."""
    return await stage.able(DiskBreakable).tear_page(victim.name)


TORN_PAGE = FaultKind(
    key="torn-page",
    words=FaultWords(
        title="page torn",
        healed="page whole",
        noun=lambda hosts: f"a torn page on {disks_of(hosts)}",
        clause=lambda hosts: f"a page on {disks_of(hosts)} was torn",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(DiskBreakable,),
    lasts=False,
    # Until the page is read again, which the load seldom does.
    effect=lambda params: "unpredicted",
    strike=tear,
    # The node must be made anew: that is what is being tested.
    undo=nothing_to_undo,
    draw=None,
    impossible=has_no_postgres,
)
