"""What Patroni answers, as it was seen; and the members as the command line has them."""

from __future__ import annotations

import json

import pytest

from replication.monitoring.exporter.settings import parse_member
from replication.patroni.answers import PatroniAnswer, read_history, read_synchronous_mode
from replication.patroni.answers import read_status as parse_answer

PRIMARY = {
    "state": "running",
    "postmaster_start_time": "2026-11-24 12:00:00+00:00",
    "role": "primary",
    "server_version": 180006,
    "xlog": {"location": 50331648},
    "timeline": 2,
    "replication": [{"application_name": "db-b", "state": "streaming", "sync_state": "quorum"}],
    "dcs_last_seen": 1795000000,
    "pending_restart": True,
    "pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "200"}},
    "database_system_identifier": "7436512345678901234",
    "patroni": {"version": "4.1.5", "scope": "patients", "name": "db-a"},
}
REPLICA = {
    "state": "running",
    "role": "replica",
    "xlog": {"received_location": 50331648, "replayed_location": 50331000, "paused": False},
    "timeline": 2,
    "replication_state": "streaming",
    "failsafe_mode_is_active": True,
    "pause": True,
    "dcs_last_seen": 0,
    "patroni": {"version": "4.1.5", "scope": "patients", "name": "db-b"},
}


def parsed(document: object, status: int = 200) -> PatroniAnswer:
    answer = parse_answer(status, json.dumps(document).encode())
    assert answer is not None
    return answer


def test_a_primary() -> None:
    answer = parsed(PRIMARY)
    assert (answer.has_lock, answer.role, answer.state) == (True, "primary", "running")
    assert (answer.position, answer.timeline, answer.replayed) == (50331648, 2, None)
    assert answer.pending_restart
    assert not answer.paused
    assert answer.dcs_last_seen_s == 1795000000
    assert answer.system_identifier == 7436512345678901234
    assert answer.scope == "patients"


def test_a_replica() -> None:
    answer = parsed(REPLICA, 503)
    assert (answer.has_lock, answer.role) == (False, "replica")
    assert (answer.position, answer.received, answer.replayed) == (None, 50331648, 50331000)
    assert answer.streams is True
    assert answer.failsafe
    assert answer.paused
    assert answer.dcs_last_seen_s is None


def test_a_primary_without_the_lock_claims_nothing() -> None:
    answer = parsed(PRIMARY, 503)
    assert (answer.has_lock, answer.role) == (False, "primary")


@pytest.mark.parametrize(
    ("role", "known"), [("master", "primary"), ("demoted", "unknown"), (None, "unknown")]
)
def test_roles(role: str | None, known: str) -> None:
    assert parsed({"state": "running", "role": role}).role == known


def test_a_state_that_a_later_patroni_adds_is_unknown() -> None:
    assert parsed({"state": "levitating", "role": "replica"}).state == "unknown"
    assert parsed({"state": "creating replica", "role": "replica"}).state == "creating replica"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"{}", b"404 page not found"])
def test_what_no_patroni_says_is_no_answer(body: bytes) -> None:
    assert parse_answer(200, body) is None


@pytest.mark.parametrize(
    ("config", "asked_for"),
    [
        ({}, False),
        ({"synchronous_mode": False}, False),
        ({"synchronous_mode": "off"}, False),
        ({"synchronous_mode": True}, True),
        ({"synchronous_mode": "on"}, True),
        ({"synchronous_mode": "quorum"}, True),
    ],
)
def test_synchronous_mode(config: dict[str, object], asked_for: bool) -> None:
    assert read_synchronous_mode(json.dumps(config).encode()) is asked_for


def test_a_configuration_that_cannot_be_read_says_nothing() -> None:
    assert read_synchronous_mode(b"oops") is None


def test_the_ends_of_timelines() -> None:
    line = [1, 25623960, "no recovery target specified", "2026-11-24T12:00:00+00:00", "db-b"]
    assert read_history(json.dumps([line, ["odd"], 3]).encode()) == ((1, 25623960), None, None)
    assert read_history(b"oops") is None


def test_a_member_of_the_command_line() -> None:
    member = parse_member("db-a=https://10.0.1.10:8008/,10.0.1.10:5432,paris")
    assert (member.name, member.rest_url) == ("db-a", "https://10.0.1.10:8008")
    assert (member.host, member.port, member.site) == ("10.0.1.10", 5432, "paris")
    without = parse_member("db-a=http://[fd00::1]:8008,[fd00::1]:5432")
    assert (without.host, without.port, without.site) == ("fd00::1", 5432, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db-a",
        "db-a=http://h:8008",
        "db-a=h:8008,h:5432",
        "=http://h:1,h:1",
        "a=http://h,h:99999",
    ],
)
def test_a_member_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="name=rest_url,host:port"):
        parse_member(text)
