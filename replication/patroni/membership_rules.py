"""Which servers may become members, and which members may leave. Pure.

Any member's Patroni names all members (``GET /cluster``); it may be stale, and it may be wrong. So
an answer is only a hint:

- a new member is taken in once it answers at its address, as itself and as one of this cluster;
- a member that answers under its own name stays where it is. One that is silent there is looked for
  at the address that was named, and moves once it answers at that;
- a member that no answer has named for a minute, and that is silent, leaves. Members that were
  listed by hand never do, nor does the primary in use, nor the last member of a site (durability
  ``all_sites`` would demand less without it). While no answer comes, all stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from replication.patroni.members import Member

ABSENT_S = 60.0
"""How long a member must go unnamed before it may leave. Its key in the DCS lives for ``ttl`` (30 s
by default), and Patroni restarts in less."""


class Absences:
    """Since when each member has not been named. No clock, no I/O."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}

    def hear(self, present: Iterable[str], named: Collection[str], now_s: float) -> None:
        """A round with an answer. ``named``: all members in any of its answers."""
        absent = set(present).difference(named)
        self._since_s = {name: self._since_s.get(name, now_s) for name in absent}

    def miss(self) -> None:
        """A round without an answer: the DCS may be lost, and what was counted means nothing."""
        self._since_s.clear()

    def leavers(
        self,
        members: Mapping[str, Member],
        *,
        keep: Collection[str],
        is_answering: Callable[[str], bool],
        now_s: float,
    ) -> list[str]:
        """The members that may leave.

        Args:
            members: all that there are.
            keep: the names of those that stay in any case.
            is_answering: of the member of that name.
        """
        leaving: list[str] = []
        for name, since_s in self._since_s.items():
            if name not in members or name in keep or now_s - since_s < ABSENT_S:
                continue
            site = members[name].site
            rest = (one for other, one in members.items() if other not in {name, *leaving})
            is_last = site is not None and all(one.site != site for one in rest)
            if not is_last and not is_answering(name):
                leaving.append(name)
        return leaving


def candidates(
    named: Iterable[Member],
    members: Mapping[str, Member],
    *,
    listed: Mapping[str, Member],
    is_answering: Callable[[str], bool],
) -> list[Member]:
    """The members to take in if they answer: new ones, and silent ones at another address.

    Args:
        named: the members of an answer.
        members: those that there are.
        listed: those that were listed by hand. They may have moved back to where they were listed,
            and their site is what was written.
        is_answering: of the member of that name.
    """
    found: list[Member] = []
    taken = {one.rest_url for one in listed.values()}  # whatever name it was listed under
    for one in (*named, *listed.values()):
        site = listed[one.name].site if one.name in listed else None
        there = members.get(one.name)
        if one.name not in listed and one.rest_url in taken:
            continue
        if there is not None:
            site = site or there.site
        wanted = replace(one, site=site or one.site)
        has_moved = there is None or (wanted.rest_url, wanted.address) != (
            there.rest_url,
            there.address,
        )
        if there is not None and is_answering(one.name):
            # The same Patroni says that its PostgreSQL is elsewhere: nothing to be looked for.
            has_moved &= wanted.rest_url == there.rest_url and one.name not in listed
        if has_moved:
            found.append(wanted)
    return found
