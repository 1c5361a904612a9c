"""What this run cannot prove, from what the substrate says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.scenarios.model import WorkloadKind

_MEMORY = (
    "The data of every node lay in memory (tmpfs). A power cut in this lab ends all processes of a "
    "host at once and takes its link away, but pages that were written and not yet flushed are "
    "still there when the host comes back. Loss by a missing fsync, a lying disk or a broken "
    "controller cannot show here."
)
_DISK = (
    "The data of every node lay on: {data}. A power cut here ends processes, it does not cut the "
    "power of a disk: what the page cache held survives it. Loss by a missing fsync, a lying disk "
    "or a broken controller cannot show."
)
_NO_DELAY = (
    "The network between the sites was that of one machine, without added delay, jitter or loss. "
    "Between real sites every synchronous commit takes at least one round trip more."
)
_CONTAINERS = (
    "The hosts were containers of one engine on one kernel. A cut link took the host's interfaces "
    "away: whoever opened a connection to it was told after about 3 s that nobody has its address "
    "(ARP); between real sites there may be silence for much longer. Sites shared one WAN network."
)
_WAN = "The network between the sites: {wan}. It was made by software on one machine."
_ONE_MACHINE = (
    "All sites ran on one machine. They share its processors and one clock: times of different "
    "sites can be compared, but rates say little about real hardware."
)
_ONE_RUN = (
    "This is one run. How long an outage lasts depends on when in its loops the cluster is struck; "
    "repeat the drill to learn the spread."
)
_LOAD: Mapping[WorkloadKind, str] = {
    "ledger": (
        "What is judged is the ledger of the load processes: single-row transactions with an id "
        "each. Nothing is said about other workloads."
    ),
    "transfers": (
        "What is judged are transfers between a few accounts, each in one transaction under row "
        "locks, and reads of their total. Nothing is said about other workloads, nor about "
        "transactions that take no locks."
    ),
    "bulk": (
        "What is judged are rows that are copied in chunks, each chunk in one transaction. Nothing "
        "is said about other workloads."
    ),
}


def limits(substrate: Mapping[str, str], workload: WorkloadKind = "ledger") -> tuple[str, ...]:
    """Sentences for the report, the most important first.

    Args:
        substrate: ``substrate`` of ``run.json``: ``name``, ``data``, ``wan``.
        workload: What the load did.
    """
    found: list[str] = []
    name = substrate.get("name")
    is_here = name in ("lab", "compose")
    data, wan = substrate.get("data"), substrate.get("wan")
    if data is None:
        found.append("Where the data of the nodes lay is not on record.")
    elif data == "tmpfs":
        found.append(_MEMORY)
    elif is_here:
        found.append(_DISK.format(data=data))
    if wan is None:
        found.append("What the network between the sites was like is not on record.")
    else:
        found.append(_NO_DELAY if wan == "no delay" else _WAN.format(wan=wan))
    if name == "compose":
        found.append(_CONTAINERS)
    if is_here:
        found.append(_ONE_MACHINE)
    return (*found, _LOAD[workload], _ONE_RUN)
