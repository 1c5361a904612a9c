"""How long a member is believed that says it leads. Pure.

Patroni answers ``GET /primary`` with 200 until ``ttl`` after it renewed the leader key, **by the
wall clock of its server** (``Ha.is_leader``, up to version 4.1.5). Where that clock is set back, it
goes on to say so for as much longer, and sleeps as long before it looks at the DCS again (patroni
issue 3560). In a site that is cut off an old primary would then pass for the primary for an hour,
while another one elsewhere takes writes.

So it is believed no longer than the key lives. Each answer says when the member last read the DCS;
that is a time of a clock that is not trusted, but *that the number changed* is seen on our own
clock. Patroni renews the key after each look, and a key that nobody renews is gone after ``ttl``.

A member that leads without the DCS, in failsafe or maintenance mode, says nothing of it, and is
believed: there nobody else can take over by himself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replication.patroni.answers import RestAnswer

TTL_S_MIN = 20.0
"""The shortest ``ttl`` that Patroni accepts: every leader key lives at least as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsContact:
    """A member has read the DCS: its mark of that, first heard in an answer to a question that was
    asked at ``asked_s`` (our clock)."""

    seen: float
    asked_s: float


def next_contact(before: DcsContact | None, answer: RestAnswer) -> DcsContact | None:
    """What is known after this answer of a member; None: nothing, so that it is believed."""
    if answer.status is None:
        return before
    if answer.dcs_seen is None:
        return None
    if before is not None and before.seen == answer.dcs_seen:
        return before
    return DcsContact(seen=answer.dcs_seen, asked_s=answer.asked_s)


def may_hold(contact_s: float | None, *, at_s: float, ttl_s: float) -> bool:
    """Whether a leader key can still be there that its holder renewed at ``contact_s``, or never
    said when; None."""
    return contact_s is None or at_s - contact_s <= ttl_s
