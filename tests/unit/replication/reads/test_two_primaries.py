"""A bound of staleness holds beside a primary that goes on claiming the lock, in every order.

The near site has the reader, the primary and a replica of it; the other standby is far. The site is
cut off, the lease is ended at any time after that, as a witness does, or an expiry that the old
primary's Patroni sleeps through, and the far standby is promoted. The near Patroni claims the lock
throughout. Each step takes a second. Commits are acknowledged by the far standby alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.reads.staleness import Sample, known_until_s, staleness_s

STEPS = ("write", "replay", "ask", "send", "confirm", "answer", "cut", "promote")


@dataclass
class Sites:
    """What each site has, and what the reader knows. Positions count the WAL's records."""

    now_s: float = 0.0
    near: list[str] = field(default_factory=list)
    """The old primary's WAL."""
    far: list[str] = field(default_factory=list)
    replayed: int = 0
    """By the near replica."""
    is_cut: bool = False
    is_promoted: bool = False
    acknowledged: list[tuple[float, str]] = field(default_factory=list)
    sent: list[tuple[float, str]] = field(default_factory=list)
    """The reader's own commits that have no answer yet."""
    samples: list[Sample] = field(default_factory=list)
    proven: dict[int, float] = field(default_factory=dict)
    answered_s: float | None = None

    def take(self, step: str) -> None:
        self.now_s += 1.0
        getattr(self, f"_{step}")()

    def _write(self) -> None:
        """Of a client elsewhere, at the primary that can acknowledge."""
        name = f"write {self.now_s:g}"
        if self.is_promoted:
            self.far.append(name)
        elif self.is_cut:
            return
        else:
            self.near.append(name)
            self.far = list(self.near)
        self.acknowledged.append((self.now_s, name))

    def _replay(self) -> None:
        self.replayed = len(self.near)

    def _ask(self) -> None:
        self.samples.append(
            Sample(node="near", asked_s=self.now_s, timeline=1, lsn_bytes=len(self.near))
        )

    def _send(self) -> None:
        name = f"confirms {self.now_s:g}"
        self.near.append(name)
        self.sent.append((self.now_s, name))

    def _confirm(self) -> None:
        """The far standby receives all there is."""
        if not self.is_cut and not self.is_promoted:
            self.far = list(self.near)

    def _answer(self) -> None:
        """The answer to the oldest commit that was confirmed arrives, however late."""
        for sent_s, name in self.sent:
            if name in self.far:
                self.sent.remove((sent_s, name))
                self.proven[1] = max(sent_s, self.proven.get(1, sent_s))
                self.answered_s = self.now_s
                return

    def _cut(self) -> None:
        self.is_cut = True

    def _promote(self) -> None:
        self.is_promoted |= self.is_cut

    def missed(self, bound_s: float | None, seen: Sequence[str]) -> list[str]:
        """What an answer had to have by its bound, and has not."""
        if bound_s is None:
            return []
        until_s = self.now_s - bound_s
        return [name for at_s, name in self.acknowledged if at_s < until_s and name not in seen]


def bounds_s(sites: Sites, proven: Mapping[int, float]) -> tuple[float | None, float | None]:
    """That of the near replica, and that of the old primary."""
    of_replica = staleness_s(
        sites.samples,
        proven=proven,
        timeline=1,
        replayed_bytes=sites.replayed,
        now_s=sites.now_s,
    )
    if not sites.samples:
        return of_replica, None
    asked_s = sites.samples[-1].asked_s
    until_s = known_until_s(asked_s, timeline=1, proven=proven)
    return of_replica, None if until_s is None else sites.now_s - until_s


def missed_by(steps: Sequence[str], proven_by: Callable[[Sites], Mapping[int, float]]) -> list[str]:
    """What reads lacked that were made after each step."""
    sites, missed = Sites(), list[str]()
    for step in steps:
        sites.take(step)
        of_replica, of_primary = bounds_s(sites, proven_by(sites))
        missed += sites.missed(of_replica, sites.near[: sites.replayed])
        missed += sites.missed(of_primary, sites.near)
    return missed


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_a_bound_by_acknowledged_commits_holds_in_every_order(steps: list[str]) -> None:
    assert missed_by(steps, lambda sites: sites.proven) == []


BY_THE_LEASE = ("write", "replay", "ask", "cut", "promote", "write", "ask", "ask")
"""Found by ``bascule drill site-cut --witness``: the lock is claimed after another has written."""

BY_THE_ANSWER = (
    *("send", "confirm", "replay", "ask", "cut", "promote"),
    *("write", "answer", "ask", "ask"),
)
"""The answer is late, and the standby has confirmed before it let go."""


@pytest.mark.parametrize(
    ("steps", "proven_by"),
    [
        (BY_THE_LEASE, lambda sites: {1: sites.now_s}),
        (
            BY_THE_ANSWER,
            lambda sites: {} if sites.answered_s is None else {1: sites.answered_s},
        ),
    ],
)
def test_a_bound_by_the_claim_or_by_the_time_of_an_answer_lacks_writes(
    steps: Sequence[str], proven_by: Callable[[Sites], Mapping[int, float]]
) -> None:
    assert missed_by(steps, proven_by)
    assert missed_by(steps, lambda sites: sites.proven) == []


def test_a_primary_that_gets_nothing_acknowledged_serves_no_bound_that_shrinks() -> None:
    sites = Sites()
    for step in ("send", "confirm", "answer", "replay", "ask", "cut"):
        sites.take(step)
    for _ in range(5):
        sites.take("send")
        sites.take("answer")
        sites.take("ask")
    of_replica, of_primary = bounds_s(sites, sites.proven)
    assert of_replica == of_primary == sites.now_s - 1.0  # the one commit was sent at 1
