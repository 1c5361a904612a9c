"""Units of work that two sites send under one id, each with an entry of its own.

A caller that retries from another process, or from another site after a failover, uses the id that
was used before: then exactly one may be told ``Applied``, and its entry is there; the other is told
``AlreadyApplied``, and its entry is nowhere (``chaos/checkers/shared_units.py``).

The load processes cannot talk with each other, so a rule decides: every worker counts the slots of
its schedule from the origin of CLOCK_MONOTONIC, which all load processes of a drill share, so all
of them are at the same slot at the same time, after an outage too. Pure.

When the two call makes a difference, so it changes from turn to turn. Both at the same slot: one
waits for the other's id row, and where commits hang both hang, so that a commit that is lost with
its primary meets the other caller on the next one. One a slot later than the other: the first one
is over, or was struck just before the second one began.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.workloads.registry import WORKLOADS

SHARED_EVERY = 7
"""A worker shares one slot in this many: of three sites one sits out in every round, so that makes
about one operation in ten. The caller that comes second leaves no entry, so it takes a twentieth of
the entries, which hardly changes the load; and it makes some hundreds of shared units a drill (14 a
second at 100 operations a second and site), and one of ten of the commits that a failover leaves in
doubt."""

SHARED_EVERY_MIN = 2
"""A round has a slot for the caller that comes late."""

_TURNS: tuple[tuple[int, int], ...] = ((0, 0), (0, 1), (0, 0), (1, 0))
"""By how many slots the first and the second site of a pair come late."""


def shared_every(kind: str, client_sites: int) -> int:
    """A worker shares one slot in this many; 0: none, as there is no other site to share with."""
    return SHARED_EVERY if WORKLOADS[kind].shares_units and client_sites > 1 else 0


def shared_unit(sites: Sequence[str], site: str, worker: int, slot: int, every: int) -> str | None:
    """The id under which a worker's operation is sent, where another site sends one too.

    Args:
        sites: every site that has load, in the same order in every process.
        site: the worker's.
        worker: its number; the worker of the other site has the same.
        slot: of its schedule.
        every: ``shared_every``.

    Returns:
        None where the operation has its own id.
    """
    if not every:
        return None
    round_, late = divmod(slot, every)
    mine = sites.index(site)
    other = partner(mine, round_, len(sites))
    if other is None:
        return None
    first, second = sorted((mine, other))
    if late != _TURNS[round_ // len(sites) % len(_TURNS)][mine == second]:
        return None
    return f"{sites[first]}+{sites[second]}-{worker}-{round_}"


def partner(site: int, round_: int, sites: int) -> int | None:
    """The site that a site shares with in a round; None: no site.

    The circle of a round-robin tournament: in as many rounds as there are sites every two of them
    meet; where their number is odd, one sits out.

    Args:
        site: from 0.
        round_: from 0.
        sites: how many there are.
    """
    circle = sites - 1 + sites % 2
    if site == circle:  # the one beside the circle, where their number is even
        return round_ * (circle + 1) // 2 % circle
    other = (round_ - site) % circle
    if other != site:
        return other
    return circle if sites % 2 == 0 else None
