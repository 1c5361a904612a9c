"""The one transaction, and the votes that count, as values."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from replication.config.settings import Dcs
from replication.witness.daemon import Ballots
from replication.witness.dcs import act_transaction
from replication.witness.keys import KeyNames, KeyValue, Reading
from replication.witness.model import EndLease

NAMES = KeyNames(Dcs(endpoints=("http://etcd1:2379",), scope="eds"))
MEMBER = {"api_url": "http://db1:8008/patroni", "conn_url": "postgres://db1:5432/x", "tags": {}}
EXPIRE_S = 2.0


def reading(vote_revision: int = 20) -> Reading:
    vote = {"site": "paris", "leader": "db1", "reason": "silent"}
    return NAMES.read(
        [
            KeyValue(key="/service/eds/leader", value="db1", revision=7, lease_id=1),
            KeyValue(
                key="/service/eds/members/db1", value=json.dumps(MEMBER), revision=8, lease_id=33
            ),
            KeyValue(
                key=NAMES.vote(7, "paris"),
                value=json.dumps(vote),
                revision=vote_revision,
                lease_id=5,
            ),
        ],
        read_s=0,
    )


def transaction(member_revision: int | None = 8) -> dict[str, Any]:
    decision = EndLease(
        leader="db1",
        leader_revision=7,
        sync_revision=5,
        config_revision=3,
        member_revision=member_revision,
        voted_by=("orsay", "paris"),
        reason="silent",
        case="host-silent",
    )
    return act_transaction(decision, reading(), NAMES, record="{}", act_lease=77)


def of(key: str) -> str:
    return b64decode(key).decode().removeprefix("/service/eds/").removeprefix("/witness/eds/")


def test_all_that_was_judged_is_compared() -> None:
    compared = {
        of(one["key"]): one.get("mod_revision") or one.get("create_revision") or one["version"]
        for one in transaction()["compare"]
    }
    assert compared == {
        "leader": "7",
        "sync": "5",
        "config": "3",
        "failover": "0",  # it was never created
        "votes/7/orsay": "0",  # of a version greater than that: it is there
        "votes/7/paris": "0",
        "members/db1": "8",
    }


def test_the_dead_are_not_asked_and_then_the_key_goes() -> None:
    member, leader, act = transaction()["success"]
    put = member["request_put"]
    assert (of(put["key"]), put["lease"]) == ("members/db1", "33")
    said = json.loads(b64decode(put["value"]))
    assert said == {name: value for name, value in MEMBER.items() if name != "api_url"}
    assert of(leader["request_delete_range"]["key"]) == "leader"
    assert (of(act["request_put"]["key"]), act["request_put"]["lease"]) == ("acts/7", "77")


def test_a_member_without_a_key_gets_none() -> None:
    assert len(transaction(member_revision=None)["success"]) == 2


def test_a_vote_counts_from_when_it_was_first_seen() -> None:
    ballots = Ballots(EXPIRE_S)
    assert [vote.expires_s for vote in ballots.count(reading(), 100.0)] == [102.0]
    assert [vote.expires_s for vote in ballots.count(reading(), 101.5)] == [102.0]
    renewed = ballots.count(reading(vote_revision=21), 101.5)
    assert [vote.expires_s for vote in renewed] == [103.5]
