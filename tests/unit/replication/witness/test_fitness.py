"""What is said of clusters that witnesses can help, and of those that they cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from replication.config.settings import Dcs
from replication.witness.fitness import (
    EtcdSeen,
    Examined,
    PatroniSeen,
    Remark,
    is_fit,
    remarks,
    seconds_of,
    version_of,
)
from replication.witness.keys import KeyNames, KeyValue
from replication.witness.model import WitnessSettings

SITES = ("paris", "orsay", "saint-cloud")
MEMBERS = tuple(f"db-{site}" for site in SITES)
CONFIG: dict[str, Any] = {
    "ttl": 30,
    "loop_wait": 10,
    "retry_timeout": 10,
    "synchronous_mode": "quorum",
    "synchronous_mode_strict": True,
    "postgresql": {"parameters": {"wal_retrieve_retry_interval": "500ms"}},
}
SYNC: dict[str, Any] = {
    "leader": "db-paris",
    "sync_standby": "db-orsay,db-saint-cloud",
    "quorum": 1,
}
DCS = Dcs(endpoints=("http://dcs:2379",), scope="eds")


def examined(
    config: dict[str, Any] | None = None,
    sync: dict[str, Any] | None = None,
    members: tuple[str, ...] = MEMBERS,
    tags: dict[str, object] | None = None,
    alive: tuple[str, ...] = SITES,
) -> Examined:
    """A cluster that is well, but for what is given."""
    dynamic = CONFIG if config is None else {**CONFIG, **config}
    texts = {
        "/service/eds/config": json.dumps(dynamic),
        "/service/eds/leader": "db-paris",
        "/service/eds/sync": json.dumps(SYNC if sync is None else {**SYNC, **sync}),
        **{
            f"/service/eds/members/{name}": json.dumps(
                {"api_url": f"http://{name}:8008/patroni", "tags": tags or {}}
            )
            for name in members
        },
        **{f"/witness/eds/alive/{site}": "{}" for site in alive},
    }
    pairs = [KeyValue(key=key, value=text, revision=1, lease_id=0) for key, text in texts.items()]
    return Examined(
        settings=WitnessSettings(name="paris", site="paris", sites=frozenset(SITES)),
        etcd=tuple(
            EtcdSeen(endpoint=f"http://dcs-{site}:2379", version="3.4.23", round_trip_s=0.001)
            for site in SITES
        ),
        reading=KeyNames(DCS).read(pairs, read_s=0.0),
        dynamic=dynamic,
        patroni=tuple(
            PatroniSeen(name=name, version="4.1.5", round_trip_s=0.01) for name in members
        ),
    )


def only(seen: Examined) -> list[Remark]:
    """What is not as it should be, without what cannot be seen."""
    return [one for one in remarks(seen) if one.grade in {"bad", "advice"}]


def test_of_a_cluster_that_is_well_nothing_has_to_be_changed() -> None:
    found = remarks(examined())
    assert is_fit(found)
    assert only(examined()) == []
    assert {one.grade for one in found} == {"good", "unseen"}


WRONG = {
    "not quorum": (examined({"synchronous_mode": True}), "config", "not-strict"),
    "not strict": (examined({"synchronous_mode_strict": False}), "config", "not-strict"),
    "a standby cluster": (examined({"standby_cluster": {"host": "a"}}), "config", "standby"),
    "two members": (
        examined(members=MEMBERS[:2], sync={"sync_standby": "db-orsay", "quorum": 0}),
        "members",
        "another acknowledge",
    ),
    "one synchronous standby": (
        examined(sync={"sync_standby": "db-orsay", "quorum": 1}),
        "sync",
        "stands-alone",
    ),
    "no synchronous replication": (examined(sync={"leader": None}), "sync", "names no leader"),
    "timing": (examined({"retry_timeout": 15}), "timing", "more than ttl"),
    "an old Patroni": (
        replace(examined(), patroni=(PatroniSeen(name="db-paris", version="3.3.2"),)),
        "db-paris",
        "4.0",
    ),
    "a silent Patroni": (
        replace(examined(), patroni=(PatroniSeen(name="db-paris", error="silent for 3 s"),)),
        "db-paris",
        "silent for 3 s",
    ),
    "an old etcd": (
        replace(examined(), etcd=(EtcdSeen(endpoint="http://a", version="3.3.27"),) * 3),
        "etcd http://a",
        "3.4 or later",
    ),
    "a silent etcd": (
        replace(examined(), etcd=(EtcdSeen(endpoint="http://a", error="refused"),) * 3),
        "etcd http://a",
        "refused",
    ),
    "no right to read": (
        replace(examined(), reading=None, unread="permission denied"),
        "etcd",
        "permission denied",
    ),
}


@pytest.mark.parametrize(("seen", "about", "words"), WRONG.values(), ids=WRONG)
def test_what_keeps_witnesses_from_acting_is_bad_and_has_a_remedy(
    seen: Examined, about: str, words: str
) -> None:
    bad = [one for one in remarks(seen) if one.grade == "bad"]
    assert about in {one.about for one in bad}
    assert any(words in one.words for one in bad)
    assert all(one.remedy for one in bad)
    assert not is_fit(remarks(seen))


def with_etcd(*round_trips_s: float, version: str = "3.4.23") -> Examined:
    return replace(
        examined(),
        etcd=tuple(
            EtcdSeen(endpoint=f"http://{number}", version=version, round_trip_s=round_trip_s)
            for number, round_trip_s in enumerate(round_trips_s)
        ),
    )


ADVICE = {
    "paused": (examined({"pause": True}), "maintenance mode"),
    "a short ttl": (examined({"ttl": 20, "loop_wait": 5, "retry_timeout": 5}), "a short ttl"),
    "no slots on replicas": (examined({"member_slots_ttl": 0}), "the gate would stay shut"),
    "slow to try again": (examined({"postgresql": {}}), "wal_retrieve_retry_interval"),
    "priorities": (examined(tags={"failover_priority": 2}), "no effect in quorum mode"),
    "a witness is missing": (examined(alive=SITES[:2]), "of 3 there are 2"),
    "no witness yet": (examined(alive=()), "of 3 there are 0: none"),
    "another Patroni": (
        replace(
            examined(),
            patroni=tuple(
                PatroniSeen(name=name, version=f"4.1.{number}")
                for number, name in enumerate(MEMBERS)
            ),
        ),
        "different versions",
    ),
    "a Patroni of tomorrow": (
        replace(examined(), patroni=(PatroniSeen(name="db-paris", version="4.2.0"),)),
        "newer than",
    ),
    "a slow member": (
        replace(
            examined(),
            patroni=(PatroniSeen(name="db-paris", version="4.1.5", round_trip_s=0.2),),
        ),
        "would wait for 0.80 s",
    ),
    "the wrong etcd first": (with_etcd(0.020, 0.001, 0.020), "not the nearest: http://1"),
    "an etcd that tears": (with_etcd(0.001, 0.001, 0.001, version="3.5.1"), "inconsistent"),
    "one endpoint": (with_etcd(0.001), "1 endpoint"),
}


@pytest.mark.parametrize(("seen", "words"), ADVICE.values(), ids=ADVICE)
def test_what_only_costs_time_is_advice(seen: Examined, words: str) -> None:
    found = only(seen)
    assert any(words in one.words for one in found), found
    assert all(one.grade == "advice" and one.remedy for one in found)
    assert is_fit(remarks(seen))


@pytest.mark.parametrize(
    ("text", "numbers"), [("3.4.23", (3, 4, 23)), ("3.5.0-rc.1", (3, 5, 0)), ("", ()), (None, ())]
)
def test_versions(text: str | None, numbers: tuple[int, ...]) -> None:
    assert version_of(text) == numbers


@pytest.mark.parametrize(
    ("value", "seconds"), [("500ms", 0.5), ("5s", 5.0), (250, 0.25), ("1min", 60.0), ("x", None)]
)
def test_durations(value: object, seconds: float | None) -> None:
    assert seconds_of(value) == seconds
