"""Patroni's leader race in strict quorum mode, as the model counts it.

``test_race.py`` holds it equal to Patroni's own ``Ha._is_healthiest_node``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replication.witness import gate


@dataclass(frozen=True, slots=True)
class Answered:
    """What a member said to a candidate: whether it is a primary, and how far its WAL goes."""

    is_primary: bool
    position: int


@dataclass(frozen=True, slots=True)
class SyncRule:
    """The key ``sync``. ``leader``: ``None``: not in use, as without synchronous replication."""

    leader: int | None
    standbys: frozenset[int]
    quorum: int

    @property
    def members(self) -> frozenset[int]:
        """Who votes: the standbys and the leader."""
        return frozenset() if self.leader is None else self.standbys | {self.leader}


def can_win(me: int, position: int, answers: Mapping[int, Answered], sync: SyncRule) -> bool:
    """Whether a replica at ``position`` may take the key, having asked some members.

    Who does not answer is not in ``answers``; nor is who has no ``api_url`` in its key.
    """
    votes = 0 if me in sync.members else -1
    is_one_ahead = False
    for name, answer in answers.items():
        if answer.is_primary:
            return False
        if answer.position > position:
            is_one_ahead = True
            if sync.leader != name:
                return False
        else:
            votes += name in sync.members
    is_former_leader = sync.leader == me and not is_one_ahead
    return sync.leader is None or votes >= sync.quorum or is_former_leader


def names_of_winner(me: int, sync: SyncRule) -> tuple[frozenset[int], int]:
    """Whose acknowledgements a winner will wait for, and how many (``ANY n (names)``).

    As ``process_sync_replication_prepromote`` computes them from the sync key, which stays as it
    is until the winner's first loop as primary.
    """
    need = max(len(sync.members) - sync.quorum - 1 + (me not in sync.members), 0)
    return sync.members - {me}, need


def has_let_go(me: int, attached: Iterable[int], sync: SyncRule) -> bool:
    """As the gate itself judges. ``attached``: those that are not ahead of the winner."""
    return gate.has_let_go(me, attached, sync.members, sync.quorum)
