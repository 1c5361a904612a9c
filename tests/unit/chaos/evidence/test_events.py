"""One table writes and reads ``events.jsonl``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from chaos.evidence.events import (
    KINDS,
    BootStepDone,
    ClusterNotWhole,
    ClusterSettled,
    EventLog,
    FaultHealed,
    FaultStruck,
    Interrupted,
    LeaderSeen,
    LinkMeasured,
    OtherEvent,
    Phase,
    PhaseBegan,
    ProcessEnded,
    RoleSeen,
    RunEvent,
    SettingsFound,
    SyncKeySeen,
    Tick,
    TimelineEnded,
    WitnessActed,
    WitnessStarted,
    WitnessVoted,
    decode_event,
    read_events,
)

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "run-folder.md"

LINES = (
    (PhaseBegan(t_s=1.0, phase=Phase.FINAL_READ), '"phase", "phase": "final-read"'),
    (
        BootStepDone(t_s=1.0, step="dcs", elapsed_s=0.9),
        '"boot", "step": "dcs", "elapsed_s": 0.9',
    ),
    (
        FaultStruck(t_s=1.0, fault="link-cut", target="a", node="a", detail="link down"),
        '"fault", "fault": "link-cut", "target": "a", "node": "a", "detail": "link down",'
        ' "took_s": null',
    ),
    (
        FaultHealed(t_s=1.0, fault="link-cut", target="a", detail="link up"),
        '"heal", "fault": "link-cut", "target": "a", "detail": "link up"',
    ),
    (
        RoleSeen(t_s=1.0, node="a", role="primary", timeline=2),
        '"role", "node": "a", "role": "primary", "timeline": 2, "sync": null',
    ),
    (LeaderSeen(t_s=1.0, holder=None, revision=7), '"leader-key", "holder": null, "revision": 7'),
    (
        SyncKeySeen(t_s=1.0, leader="a", members="b,c", quorum=1, revision=8),
        '"sync-key", "leader": "a", "members": "b,c", "quorum": 1, "revision": 8',
    ),
    (
        WitnessStarted(t_s=1.0, host="dcs-a", site="a"),
        '"witness", "host": "dcs-a", "site": "a"',
    ),
    (
        WitnessVoted(t_s=1.0, witness="b", leader="a", reason="silent", revision=9),
        '"vote", "witness": "b", "leader": "a", "reason": "silent", "revision": 9',
    ),
    (
        WitnessActed(
            t_s=1.0,
            witness="b",
            leader="a",
            voted_by="b,c",
            case="host-silent",
            reason="silent",
            revision=10,
        ),
        '"act", "witness": "b", "leader": "a", "voted_by": "b,c", "case": "host-silent", '
        '"reason": "silent", "revision": 10',
    ),
    (
        TimelineEnded(t_s=1.0, timeline=1, end_lsn="0/C8", reason="no recovery target specified"),
        '"timeline", "timeline": 1, "end_lsn": "0/C8", "reason": "no recovery target specified"',
    ),
    (
        ClusterSettled(t_s=1.0, timeline=None, behind_bytes=0, behind_bytes_max=1048576),
        '"settled", "timeline": null, "behind_bytes": 0, "behind_bytes_max": 1048576',
    ),
    (ClusterNotWhole(t_s=1.0, missing="é"), '"not-whole", "missing": "é"'),
    (
        ProcessEnded(t_s=1.0, host="a", process="etcd", status=-9, expected=False),
        '"child-exit", "host": "a", "process": "etcd", "status": -9, "expected": false',
    ),
    (
        SettingsFound(
            t_s=1.0,
            ttl_s=20,
            loop_wait_s=5,
            retry_timeout_s=5,
            synchronous_mode="quorum",
            synchronous_standby_names="ANY 1 (b)",
        ),
        '"settings", "ttl_s": 20, "loop_wait_s": 5, "retry_timeout_s": 5, '
        '"synchronous_mode": "quorum", "synchronous_standby_names": "ANY 1 (b)"',
    ),
    (
        LinkMeasured(
            t_s=1.0,
            link="a-b",
            carrier="relay",
            asked="round trip 2 ms",
            asked_ms=2.0,
            median_ms=2.1,
            p95_ms=None,
            sent=20,
            lost=0,
        ),
        '"link", "link": "a-b", "carrier": "relay", "asked": "round trip 2 ms", "asked_ms": 2.0, '
        '"median_ms": 2.1, "p95_ms": null, "sent": 20, "lost": 0',
    ),
    (Tick(t_s=1.0), '"tick"'),
    (Interrupted(t_s=1.0, reason="SIGINT"), '"interrupted", "reason": "SIGINT"'),
)
"""Every kind of event, and how its line ends."""


def test_every_kind_is_written_here() -> None:
    assert {type(event) for event, _ in LINES} == set(KINDS.values())


@pytest.mark.parametrize(("event", "line"), LINES, ids=list(KINDS))
def test_an_event_is_written_as_ever_and_read_back(
    tmp_path: Path, event: RunEvent, line: str
) -> None:
    with EventLog(tmp_path) as log:
        log.append(event)
    path = tmp_path / "events.jsonl"
    assert path.read_text(encoding="utf-8") == f'{{"seq": 0, "t_s": 1.0, "kind": {line}}}\n'
    damage: list[str] = []
    assert read_events(path, damage) == (event,)
    assert damage == []


def test_the_log_goes_on_where_it_stopped_and_rounds_to_microseconds(tmp_path: Path) -> None:
    for t_s in (1.00000049, 2.0):
        with EventLog(tmp_path) as log:
            log.append(Tick(t_s=t_s))
    assert (tmp_path / "events.jsonl").read_text().splitlines() == [
        '{"seq": 0, "t_s": 1.0, "kind": "tick"}',
        '{"seq": 1, "t_s": 2.0, "kind": "tick"}',
    ]


def test_what_another_version_writes_is_kept() -> None:
    line = {"t_s": 1.0, "kind": "interrupted", "seq": 4, "reason": "SIGINT", "others": 5}
    event = decode_event(line)
    assert event == Interrupted(t_s=1.0, reason="SIGINT", others={"others": 5})
    assert event.said() == {"reason": "SIGINT", "others": 5}
    unknown = decode_event({"t_s": 1.0, "kind": "eclipse", "of": "the sun"})
    assert unknown == OtherEvent(t_s=1.0, kind="eclipse", others={"of": "the sun"})
    assert unknown.said() == {"of": "the sun"}


def test_what_is_only_shown_may_be_missing_or_of_another_type() -> None:
    assert decode_event({"t_s": 1.0, "kind": "heal"}) == FaultHealed(t_s=1.0)
    odd = {"t_s": 1.0, "kind": "role", "node": "a", "role": "replica", "timeline": "x", "sync": 3}
    assert decode_event(odd) == RoleSeen(t_s=1.0, node="a", role="replica", sync="3")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"kind": "fault", "fault": 5}, "fault is no text"),
        ({"kind": "role", "node": "a"}, "role is missing"),
        ({"kind": "leader-key", "holder": 5}, "holder is no text"),
        ({"kind": "settled", "timeline": "2"}, "timeline is no integer"),
        ({"kind": "timeline", "timeline": 1, "end_lsn": "x"}, "not an LSN: 'x'"),
        ({"kind": "child-exit"}, "expected is neither true nor false"),
        ({"kind": "heal", "detail": []}, "detail is neither text nor number"),
        ({"kind": "eclipse", "of": {}}, "of is neither text nor number"),
        ({}, "kind is missing"),
    ],
)
def test_what_checkers_rely_on_must_be_there(line: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        decode_event({"t_s": 1.0, **line})


def test_the_page_has_every_kind_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    for kind, event in KINDS.items():
        own = [one.name for one in fields(event) if one.name not in {"t_s", "others"}]
        assert [name for name in own if f"`{name}`" not in rows[kind]] == []
