"""In which order members are tried for a read, and how stale each may be. Pure.

``promises`` holds that bound against what a read asks for.

**How stale is a replica?** No clock of a server is trusted. The primary is asked where its WAL is
(a ``Sample``: asked at ``asked_s`` on our own clock, position ``lsn_bytes``). Whatever was
committed before the question was sent lies before that position, as long as nobody else was the
primary by then. So a replica that has replayed up to there, on the same timeline, lacks nothing
that is older than ``now - asked_s``: that is its staleness bound. When the primary cannot be asked,
no new samples come and the bound grows, as it should.

**Was it the primary?** Its Patroni says so; but in a site that is cut off Patroni says so until its
``ttl`` is over, and a witness has ended the lease long before. An acknowledged commit proves it: a
standby that the primary must wait for had let go of every later primary when it confirmed, and a
later one is promoted only once too few are left that could confirm (docs/operate/witness-safety.md,
"The gate"). So a commit on timeline n that was sent at ``t`` and acknowledged proves that nothing
was committed on a later timeline before ``t``. Both are demanded: a sample counts as of the earlier
of its own moment and of the last proof for its timeline (``known_until_s``).

A sample of an earlier timeline counts as well. Nothing was committed on a later one by then; and a
replica that replays a later one of the cluster is past the point where the earlier one ended, so it
has all of it that survived. Without that, replicas would serve nobody when a primary dies before it
was sampled: it may acknowledge its first write, over a session, a second before its Patroni is
asked again.

**Is my own write in it?** See ``token``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replication.patroni.answers import RestAnswer
    from replication.patroni.members import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Where the primary ``node`` was in its WAL, asked at ``asked_s`` (our clock)."""

    node: str
    asked_s: float
    timeline: int
    lsn_bytes: int


def known_until_s(
    asked_s: float, *, timeline: int | None, proven: Mapping[int, float]
) -> float | None:
    """Until when the holder of ``timeline`` is known to have been the primary; None: not at all.

    Args:
        asked_s: when its Patroni was asked, and said that it holds the leader lock.
        timeline: what it was on.
        proven: by timeline, when the last commit was sent that was acknowledged on it.
    """
    proven_s = None if timeline is None else proven.get(timeline)
    return None if proven_s is None else min(asked_s, proven_s)


def staleness_s(
    samples: Iterable[Sample],
    *,
    proven: Mapping[int, float],
    timeline: int | None,
    replayed_bytes: int,
    now_s: float,
) -> float | None:
    """The least bound that can be given for a replica; None when there is none.

    Args:
        samples: in any order.
        proven: as ``known_until_s``.
        timeline: the one that the replica replays, as its Patroni says (it asks its server with
            ``IDENTIFY_SYSTEM``); None if it does not. It must be one that a holder of the leader
            lock was seen on, at the latest when the replica's position was asked.
        replayed_bytes: up to where it has replayed.
        now_s: on the clock of the samples.
    """
    if timeline is None:
        return None
    newest: dict[int, float] = {}
    for sample in samples:
        one = sample.timeline
        if one < timeline or (one == timeline and sample.lsn_bytes <= replayed_bytes):
            newest[one] = max(sample.asked_s, newest.get(one, sample.asked_s))
    known = [
        until_s
        for one, asked_s in newest.items()
        if (until_s := known_until_s(asked_s, timeline=one, proven=proven)) is not None
    ]
    return now_s - max(known) if known else None


def order_members(  # noqa: PLR0913 (what decides)
    members: Sequence[Member],
    view: Mapping[str, RestAnswer],
    *,
    primary: str | None,
    timeline: int,
    prefer_site: str | None,
    prefer_readers: bool = False,
    last: str | None = None,
) -> list[str]:
    """Names of the members that may serve a read, the best first, the primary always last.

    Replicas of one's own site come first, of these the ones that stream, then by how quickly their
    Patroni answered. Left out are those that are silent, tagged ``noloadbalance``, or not on the
    primary's ``timeline`` (the highest one on which a primary was seen): what they have may be of a
    history that is over. Without a primary the replicas still serve: ``staleness_s`` says what they
    may promise.

    Args:
        prefer_readers: members that are tagged as readers come before all others.
        last: the member that served what this read continues; it comes first while it is fit.
    """
    fit: list[tuple[bool, bool, bool, bool, float, str]] = []
    for member in members:
        answer = view.get(member.name)
        if member.name == primary or answer is None or answer.status is None:
            continue
        if answer.timeline != timeline or answer.noloadbalance:
            continue
        is_other = member.name != last
        is_no_reader = prefer_readers and not answer.is_reader
        elsewhere = prefer_site is not None and member.site != prefer_site
        pace = (not answer.streams, answer.elapsed_s)
        fit.append((is_other, is_no_reader, elsewhere, *pace, member.name))
    names = [name for *_, name in sorted(fit)]
    return [*names, primary] if primary is not None else names
