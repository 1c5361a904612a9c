"""The model's leader race is Patroni's own: ``Ha._is_healthiest_node`` decides every case alike."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import PropertyMock, patch

import patroni.postgresql  # noqa: F401, before patroni.ha, which it imports in a circle
from hypothesis import given
from hypothesis import strategies as st
from patroni.dcs import Member as PatroniMember
from patroni.dcs import SyncState
from patroni.ha import Ha, _MemberStatus
from support.witness.race import Answered, SyncRule, can_win, has_let_go, names_of_winner

NODES = range(4)
SYNC_RULES = st.builds(
    lambda leader, standbys, quorum: SyncRule(
        leader, standbys - {leader}, min(quorum, max(len(standbys - {leader}) - 1, 0))
    ),
    st.sampled_from(NODES),
    st.frozensets(st.sampled_from(NODES)),
    st.integers(0, 3),
)
ANSWERS = st.dictionaries(
    st.sampled_from(NODES), st.builds(Answered, st.booleans(), st.integers(1, 3))
)


def says_patroni(me: int, position: int, answers: dict[int, Answered], sync: SyncRule) -> bool:
    """What Patroni's function returns, asked by a replica with these answers to its questions."""
    members = [
        PatroniMember.from_node(1, str(name), None, '{"api_url": "http://x/patroni"}')
        for name in answers
    ]
    statuses = [
        _MemberStatus(
            member,
            reachable=True,
            in_recovery=not answer.is_primary,
            wal_position=answer.position,
            data={"patroni": {"version": "4.1.5"}},
        )
        for member, answer in zip(members, answers.values(), strict=True)
    ]
    standbys = ",".join(map(str, sorted(sync.standbys)))
    ha = Ha.__new__(Ha)
    ha._last_timeline = None
    ha.cluster = SimpleNamespace(
        timeline=1, sync=SyncState(1, str(sync.leader), standbys, sync.quorum)
    )
    ha.patroni = SimpleNamespace(failover_priority=1)
    ha.state_handler = SimpleNamespace(
        name=str(me), replica_cached_timeline=lambda _: 1, last_operation=lambda: position
    )
    with (
        patch.object(Ha, "is_lagging", return_value=False),
        patch.object(Ha, "is_standby_cluster", return_value=False),
        patch.object(Ha, "check_timeline", return_value=False),
        patch.object(Ha, "sync_mode_is_active", return_value=True),
        patch.object(Ha, "quorum_commit_mode_is_active", return_value=True),
        patch.object(Ha, "fetch_nodes_statuses", return_value=statuses),
        patch.object(_MemberStatus, "failover_limitation", return_value=None),
        patch.object(_MemberStatus, "failover_priority", PropertyMock(return_value=1)),
    ):
        return bool(ha._is_healthiest_node(members))


@given(st.sampled_from(NODES), st.integers(1, 3), ANSWERS, SYNC_RULES)
def test_who_may_win_is_who_patroni_says(
    me: int, position: int, answers: dict[int, Answered], sync: SyncRule
) -> None:
    answers.pop(me, None)
    assert can_win(me, position, answers, sync) == says_patroni(me, position, answers, sync)


@given(st.sampled_from(NODES), st.frozensets(st.sampled_from(NODES)), SYNC_RULES)
def test_after_enough_let_go_no_old_quorum_is_left(
    me: int, attached: frozenset[int], sync: SyncRule
) -> None:
    left = sync.standbys - attached - {me}
    if has_let_go(me, attached - {sync.leader}, sync) and me != sync.leader:
        assert len(left) < len(sync.standbys) - sync.quorum


@given(st.sampled_from(NODES), SYNC_RULES)
def test_a_winner_waits_for_as_many_as_the_sync_key_promises(me: int, sync: SyncRule) -> None:
    names, need = names_of_winner(me, sync)
    assert me not in names
    assert need + sync.quorum == len(names)
