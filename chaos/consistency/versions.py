"""Rows that count their versions: the order is given, only the clock and the values can object.

``UPDATE … SET version = version + 1 … RETURNING version`` says of each write which place it has.
All calls of a version stand together, its write first and the reads by their beginnings; any order
that respects the versions and the clock is that one. So there is nothing to search: sort, replay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from chaos.consistency.calls import CAS, Call, shown
from chaos.consistency.zones import Clash


def are_given(calls: Sequence[Call]) -> bool:
    """Whether every closed call carries a version."""
    closed = [call for call in calls if not call.is_open]
    return bool(closed) and all(call.version is not None for call in closed)


def order_or_clash(calls: Sequence[Call]) -> tuple[Call, ...] | Clash:
    """The order that the versions give, or the calls that contradict it.

    An open write, or compare-and-set, has no version: it takes the one that was read with its
    value, if any was.

    Args:
        calls: Calls of one row that carry versions (``are_given``); version 0 is the row before
            the first write.
    """
    of_version: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        if call.version is not None:
            of_version[call.version].append(call)
    for version, some in of_version.items():
        if (clash := _two_values(version, some)) is not None:
            return clash
    in_doubt = [call for call in calls if call.version is None and not call.only_looks]
    order: list[Call] = []
    for version in sorted(of_version):
        some = of_version[version]
        changes = [call for call in some if not call.only_looks]
        if not changes and version > 0:
            found = next((one for one in in_doubt if _left(one) == some[0].value), None)
            if found is None:
                sentence = (
                    f"Nobody wrote version {version:,} with {shown(some[0].value)}: {some[0]}."
                )
                return Clash(sentence=sentence, calls=(some[0],))
            in_doubt.remove(found)
            changes = [found]
        looks = [call for call in some if call.only_looks]
        order += [*changes, *sorted(looks, key=lambda call: call.began)]
    return against_the_clock(order) or tuple(order)


def against_the_clock(order: Sequence[Call]) -> Clash | None:
    """The first call that had ended before one that stands before it began."""
    latest: Call | None = None
    for call in order:
        if latest is not None and call.ended is not None and call.ended < latest.began:
            sentence = (
                f"{call} had ended before {latest} began, and its version {call.version} is the "
                f"later one: {latest.version} was already gone."
            )
            return Clash(sentence=sentence, calls=(latest, call))
        if latest is None or call.began > latest.began:
            latest = call
    return None


def _left(call: Call) -> Hashable:
    """What a write or a compare-and-set leaves behind."""
    return call.value[1] if call.f == CAS and isinstance(call.value, tuple) else call.value


def _two_values(version: int, calls: Sequence[Call]) -> Clash | None:
    writes = [call for call in calls if not call.only_looks]
    if len(writes) > 1:
        sentence = f"Version {version:,} was given to two writes: {writes[0]}; {writes[1]}."
        return Clash(sentence=sentence, calls=tuple(writes[:2]))
    return None
