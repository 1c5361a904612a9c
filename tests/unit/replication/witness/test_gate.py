"""The gate: when a winner may be promoted, against an etcd and members in memory."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.witness import gate
from replication.witness.gate import (
    GateShut,
    KeysSaid,
    ReplicaSaid,
    SyncSaid,
    Unanswered,
    WinnerGate,
    check,
    has_let_go,
    read_keys,
    read_replica,
)

MEMBERS = ("db-a", "db-b", "db-c")
SYNC = '{"leader":"db-a","sync_standby":"db-b,db-c","quorum":1}'
LEASE, SYNC_REVISION = 50, 40
NOBODY = frozenset[str]()


def sync_said(text: str = SYNC, revision: int = SYNC_REVISION) -> SyncSaid:
    said = json.loads(text)
    members = frozenset({said["leader"], *said["sync_standby"].split(",")})
    return SyncSaid(text, said["leader"], members, said["quorum"], revision)


class Scripted:
    """An etcd and members in memory. ``followers``: who streams from the winner, look by look, the
    last for ever. ``lost_seals``: how many seals are done without an answer."""

    def __init__(
        self,
        followers: Sequence[frozenset[str]] = (frozenset({"db-c"}),),
        positions: dict[str, int] | None = None,
        sync: SyncSaid | None = None,
        lost_seals: int = 0,
        keeps_slots: bool = True,
    ) -> None:
        self.leader: str | None = "db-b"
        self.lease = LEASE
        self.sync: SyncSaid | None = sync or sync_said()
        self.positions = positions or {"db-b": 1000, "db-c": 1000}
        self.keeps_slots = keeps_slots
        self.seals = 0
        self.lost_seals = lost_seals
        self.now_s = 0.0
        self._followers = self._look(followers)

    @staticmethod
    def _look(followers: Sequence[frozenset[str]]) -> Iterator[frozenset[str]]:
        yield from followers
        while True:
            yield followers[-1]

    def read(self) -> KeysSaid:
        urls = {name: f"http://{name}:8008" for name in MEMBERS}
        return KeysSaid(self.leader, self.lease, self.sync, urls, self.keeps_slots)

    def seal(self, keys: KeysSaid) -> bool:
        assert keys.sync is not None
        if self.sync != keys.sync:
            return False
        self.seals += 1
        self.sync = keys.sync._replace(revision=keys.sync.revision + 20)
        if self.seals <= self.lost_seals:
            raise Unanswered("the answer was lost")
        return True

    def ask(self, url: str) -> ReplicaSaid:
        name = url.removeprefix("http://").removesuffix(":8008")
        if name not in self.positions:
            raise Unanswered(f"{name} is silent")
        return ReplicaSaid(
            self.positions[name], next(self._followers) if name == "db-b" else NOBODY
        )

    def sleep(self, time_s: float) -> None:
        self.now_s += time_s

    def gate(self, wait_s: float = 1.0) -> WinnerGate:
        return WinnerGate("db-b", self, wait_s=wait_s, clock=lambda: self.now_s, sleep=self.sleep)


def test_it_opens_once_enough_stream_from_the_winner_and_the_rule_is_sealed() -> None:
    outside = Scripted([NOBODY, NOBODY, frozenset({"db-c"})])
    assert "db-c let go" in outside.gate().wait_open()
    assert outside.seals == 1
    assert outside.now_s == pytest.approx(2 * gate.LOOK_INTERVAL_S)


@pytest.mark.parametrize(
    ("outside", "words"),
    [
        (Scripted([NOBODY]), "too few members follow db-b: none"),
        (Scripted(positions={"db-b": 1000, "db-c": 1001}), "db-c ahead of it"),
        (Scripted(positions={"db-b": 1000}), "db-c is silent"),
        (Scripted(positions={"db-c": 1000}), "db-b is silent"),
        (Scripted([frozenset({"db-x"})]), "too few members follow db-b: none"),
    ],
    ids=["nobody", "one that is ahead", "one that is silent", "the own one silent", "a stranger"],
)
def test_it_stays_shut_in_bounded_time_without_enough_of_them(
    outside: Scripted, words: str
) -> None:
    with pytest.raises(GateShut, match=words):
        outside.gate().wait_open()
    assert outside.now_s == pytest.approx(1.0, abs=2 * gate.LOOK_INTERVAL_S)


def test_it_stays_shut_where_another_holds_the_key() -> None:
    outside = Scripted()
    outside.leader = "db-c"
    with pytest.raises(GateShut, match="held by db-c"):
        outside.gate().wait_open()


def test_it_stays_shut_where_the_sync_key_was_written_after_the_lease_began() -> None:
    """The winner has its names from an older one."""
    with pytest.raises(GateShut, match="written after this lease began"):
        Scripted(sync=sync_said(revision=LEASE + 1)).gate().wait_open()


def test_the_winners_own_sync_key_may_be_newer_than_its_lease() -> None:
    """In synchronous_mode on Patroni writes it before it calls the gate."""
    own = '{"leader":"db-b","sync_standby":"","quorum":0}'
    sync = SyncSaid(own, "db-b", frozenset({"db-b"}), 0, LEASE + 1)
    assert "nobody else" in Scripted([NOBODY], sync=sync).gate().wait_open()


@pytest.mark.parametrize("what", ["lease", "sync", "same sync"])
def test_it_stays_shut_where_something_changes_while_it_looks(what: str) -> None:
    class Changed(Scripted):
        def ask(self, url: str) -> ReplicaSaid:
            assert self.sync is not None
            if what == "lease":
                self.lease = LEASE + 30
            elif what == "sync":
                self.sync = sync_said(SYNC.replace("db-b,db-c", "db-b"), 99)
            else:
                self.sync = self.sync._replace(revision=99)
            return super().ask(url)

    with pytest.raises(GateShut, match="meanwhile"):
        Changed().gate().wait_open()


def test_a_seal_whose_answer_was_lost_is_sealed_again() -> None:
    outside = Scripted(lost_seals=1)
    outside.gate().wait_open()
    assert outside.seals == 2


def test_without_synchronous_standbys_there_is_nothing_to_wait_for() -> None:
    outside = Scripted([NOBODY])
    outside.sync = None
    assert "nothing to wait for" in outside.gate().wait_open()


@given(st.integers(1, 6), st.data())
def test_who_has_not_let_go_can_never_acknowledge(count: int, data: st.DataObject) -> None:
    """Whatever ``ANY need (names)`` of the old primary is within the rule."""
    standbys = frozenset(range(1, count + 1))
    quorum = data.draw(st.integers(0, count - 1))
    me = data.draw(st.integers(1, count + 1))  # the last one is outside the rule
    attached = data.draw(st.sets(st.integers(1, count + 1)))
    names = data.draw(st.sets(st.sampled_from(sorted(standbys))))
    need = data.draw(st.integers(count - quorum, count))
    if has_let_go(me, attached, standbys | {0}, quorum):
        assert len(names - attached - {me}) < need


def pair(key: str, value: str, revision: int) -> dict[str, Any]:
    return {
        "key": base64.b64encode(f"/service/s/{key}".encode()).decode(),
        "value": base64.b64encode(value.encode()).decode(),
        "create_revision": str(revision - 1),
        "mod_revision": str(revision),
    }


def test_the_keys_are_read_as_patroni_writes_them() -> None:
    api = '{"api_url":"http://10.0.0.2:8008/patroni"}'
    pairs = [pair("leader", "DB-b", 51), pair("sync", SYNC, 40), pair("members/DB-b", api, 7)]
    assert read_keys(pairs, "/service/s/") == KeysSaid(
        "db-b", 50, sync_said(), {"db-b": "http://10.0.0.2:8008"}
    )


@pytest.mark.parametrize(
    ("config", "keeps"),
    [
        ("{}", True),
        ('{"member_slots_ttl":1800}', True),
        ('{"member_slots_ttl":0}', False),
        ('{"member_slots_ttl":0,"postgresql":{"use_slots":false}}', True),
    ],
)
def test_a_check_fails_where_no_replica_could_stream_from_a_winner(
    config: str, keeps: bool
) -> None:
    assert read_keys([pair("config", config, 3)], "/service/s/").keeps_slots == keeps
    outside = Scripted(positions=dict.fromkeys(MEMBERS, 1), keeps_slots=keeps)
    if keeps:
        check("db-b", outside)
    else:
        with pytest.raises(Unanswered, match="member_slots_ttl"):
            check("db-b", outside)


@pytest.mark.parametrize("text", ["", "{}", '{"leader":null}', "[]", "nonsense"])
def test_a_sync_key_that_names_nobody_is_not_in_use(text: str) -> None:
    sync = read_keys([pair("sync", text, 40)], "/service/s/").sync
    assert sync is not None
    assert sync.leader is None
    assert not sync.members


def test_a_replica_is_read_as_patroni_describes_it() -> None:
    said: dict[str, Any] = {
        "role": "replica",
        "xlog": {"received_location": 90, "replayed_location": 100},
        "replication": [
            {"application_name": "DB-c", "state": "streaming"},
            {"application_name": "pg_basebackup", "state": "backup"},
        ],
    }
    assert read_replica(json.dumps(said)) == ReplicaSaid(100, frozenset({"db-c"}))


@pytest.mark.parametrize(
    "text",
    ["", '{"role":"primary","xlog":{"location":90}}', '{"role":"replica"}', '{"state":"stopped"}'],
)
def test_who_is_no_running_replica_has_no_position(text: str) -> None:
    assert read_replica(text).position is None


@pytest.mark.parametrize("silent", MEMBERS)
def test_a_check_names_who_cannot_be_reached(silent: str) -> None:
    positions = dict.fromkeys(MEMBERS, 1)
    assert "2 of db-a, db-b, db-c" in check("db-b", Scripted(positions=positions))
    del positions[silent]
    with pytest.raises(Unanswered, match=silent):
        check("db-b", Scripted(positions=positions))


@pytest.mark.parametrize(
    ("options", "code"), [(("--etcd", "http://127.0.0.1:1"), gate.SHUT), (("--etcd",), 2)]
)
def test_the_program_of_a_bare_interpreter_says_why_it_stays_shut(
    options: tuple[str, ...], code: int
) -> None:
    command = [sys.executable, "-I", "-S", str(Path(gate.__file__))]
    command += ["--name", "db-b", "--scope", "s", "--wait-s", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "etcd" in done.stderr
