"""``verdict.json``: what stands in it, that it keeps to its schema, and that the schema bites."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from typing import Any, TypeAlias

import pytest
from jsonschema import Draft202012Validator
from support.evidence import tiny
from support.evidence.tiny import POWER_CUT, A, B, event, life, op, read, run, scenario

from chaos.checkers.registry import FINDINGS
from chaos.evidence.records import SiteHistory
from chaos.evidence.run import Manifest, Run
from chaos.findings import Verdict
from chaos.judge.judging import build_verdict
from chaos.report.sentence import verdict_sentence

Document: TypeAlias = dict[str, Any]

SCHEMA: Document = json.loads(
    files("chaos.judge").joinpath("verdict.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)


def _failed_over() -> Run:
    """Both sites out from 10 to 32 and 33; one entry lost."""
    operations = [
        *tiny.load(0.0, 10.0),
        *tiny.load(32.0, 50.0, node=B, timeline=2),
        *tiny.load(0.0, 10.0, site="orsay"),
        *tiny.load(33.0, 50.0, site="orsay", node=B, timeline=2),
        op("f", 49.0, outcome="fail"),
        op("i", 49.1, outcome="info"),
    ]
    kept = [o.id for o in operations if o.outcome == "ok"][1:]
    return run(
        operations,
        reads=[read(A, kept, timeline=2), read(B, kept, primary=True, timeline=2)],
        events=[
            *life(fault_s=10.0, timeline=2),
            event(10.0, "fault", fault="host-power-cut", target=A),
            event(-1.0, "leader-key", holder=A),
            event(28.0, "leader-key", holder=None),
            event(28.5, "leader-key", holder=B),
            event(30.0, "role", node=B, role="primary"),
            event(44.0, "timeline", timeline=1, end_lsn="0/C8"),
        ],
        asked=scenario(failover="must", faults=(POWER_CUT,)),
    )


def _document(judged: Run) -> Document:
    """As a reader sees it: through JSON text."""
    document: Document = json.loads(json.dumps(build_verdict(judged).to_json()))
    return document


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["finding"]["properties"]["kind"]["enum"]) == {
        kind.word for kind in FINDINGS
    }
    assert SCHEMA["$defs"]["verdict"]["enum"] == [verdict.word for verdict in Verdict]


def test_what_the_verdict_of_a_failover_says() -> None:
    document = _document(tiny.with_third(_failed_over()))
    VALIDATOR.validate(document)
    assert document["verdict"] == "invalid"
    assert (document["scenario"], document["seed"]) == ("tiny", 7)
    assert (document["lost"], document["duplicated"], document["split_brain"]) == (1, 0, False)
    assert document["rpo"] == {"lost_entries": 1, "lost_wal_bytes": 0, "lost_over_s": 0.0}
    assert document["rto_s"] == pytest.approx(23.1)
    assert list(document["rto_phases_s"].values()) == [18.0, 0.5, 1.5, 3.005]
    assert (document["rto_predicted_s"]["low_s"], document["rto_predicted_s"]["high_s"]) == (15, 29)
    assert document["rto_predicted_s"]["service"] == "returns"
    assert document["operations"] == {
        "total": 552,
        "ok": 550,
        "fail": 1,
        "info": 1,
        "already": 0,
        "resolved": 0,
    }
    assert document["acknowledged"] == 550
    assert list(document["sites"]) == list(document["availability"]) == ["paris", "orsay"]
    assert [finding["kind"] for finding in document["findings"]] == ["lost-acknowledged-write"]
    assert document["settings"]["ttl_s"] == 20
    assert document["versions"] == {"postgresql": "18.6"}
    assert (document["shared_units"], document["manifest"]) == (None, None)


def test_what_the_verdict_says_of_shared_units_and_of_the_manifest() -> None:
    callers = [
        op("a", 49.0, shared_unit="u"),
        op("b", 49.0, site="orsay", outcome="already", shared_unit="u"),
    ]
    manifest = Manifest(sha256="0" * 64, files=3, problems=("run.json: is missing",))
    judged = replace(run([*tiny.load(0.0, 50.0), *callers]), manifest=manifest)
    document = _document(judged)
    VALIDATOR.validate(document)
    assert document["shared_units"] == 1
    assert document["operations"]["already"] == document["sites"]["orsay"]["already"] == 1
    assert document["manifest"] == {
        "sha256": "0" * 64,
        "files": 3,
        "holds": False,
        "problems": ["run.json: is missing"],
    }


@pytest.mark.parametrize(
    "judged",
    [
        run(tiny.load(0.0, 50.0)),
        run([]),
        run([], events=[], reads=[]),
        run(tiny.load(0.0, 5.0), events=[event(0.0, "phase", phase="steady")], reads=[]),
    ],
)
def test_every_run_gives_a_verdict_that_keeps_to_the_schema(judged: Run) -> None:
    VALIDATOR.validate(_document(judged))


def test_what_cannot_be_known_is_null_and_not_nought() -> None:
    document = _document(run(tiny.load(0.0, 50.0), reads=[]))
    assert document["verdict"] == "unknown"
    assert document["lost"] is None
    assert document["duplicated"] is None
    assert document["rpo"]["lost_entries"] is None


def test_the_same_evidence_gives_the_same_bytes() -> None:
    first, second = (json.dumps(build_verdict(_failed_over()).to_json()) for _ in range(2))
    assert first == second


def _remove(key: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        del document[key]

    return change


def _set(key: str, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *path, last = key.split(".")
        for part in path:
            document = document[part]
        document[last] = value

    return change


def _rename_finding(document: Document) -> None:
    document["findings"][0]["kind"] = "bad-luck"


@pytest.mark.parametrize(
    "change",
    [
        *(_remove(key) for key in SCHEMA["required"]),
        _set("verdict", "fine"),
        _set("verdict", "valid"),
        _set("surprise", 1),
        _set("lost", -1),
        _set("rto_s", "soon"),
        _set("findings", []),
        _set("availability.paris", 1.5),
        _set("rto_phases_s.to_lunch", 1.0),
        _set("sites.paris.mood", "good"),
        _set("operations.ok", 0.5),
        _set("format_version", 2),
        _rename_finding,
    ],
)
def test_the_schema_rejects_what_is_wrong(change: Callable[[Document], None]) -> None:
    document = deepcopy(_document(_failed_over()))
    change(document)
    assert not VALIDATOR.is_valid(document)


def test_through_a_proxy_both_outages_are_told() -> None:
    plain = _failed_over()
    assert _document(plain)["through"] is None
    scenario_ = replace(plain.info.scenario, through="haproxy")
    direct = SiteHistory(
        site="paris",
        operations=(
            *tiny.load(0.0, 10.0, every_s=0.2),
            *tiny.load(25.0, 50.0, every_s=0.2, node=B, timeline=2),
        ),
        complete=True,
    )
    proxied = replace(plain, info=replace(plain.info, scenario=scenario_), direct=(direct,))
    document = _document(proxied)
    VALIDATOR.validate(document)
    assert document["through"]["proxy"] == "haproxy"
    assert document["through"]["direct_rto_s"] == pytest.approx(25.005 - 9.805)
    assert list(document["through"]["direct_sites"]) == ["paris"]
    sentence = verdict_sentence(proxied, build_verdict(proxied))
    assert "through HAProxy (15.2\u00a0s straight to the members)" in sentence
    assert "through" not in verdict_sentence(plain, build_verdict(plain))
    served = replace(
        direct,
        operations=tuple(tiny.load(0.0, 50.0, every_s=0.2, node=B, timeline=2)),
    )
    untouched = replace(proxied, direct=(served,))
    sentence = verdict_sentence(untouched, build_verdict(untouched))
    assert "through HAProxy (none straight to the members)" in sentence
    without = replace(proxied, direct=())
    assert _document(without)["through"]["direct_rto_s"] is None
