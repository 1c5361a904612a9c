"""What the report and the terminal say of probes, withdrawals and the trail."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

from jsonschema import Draft202012Validator
from support.evidence import tiny
from support.evidence.accesses import ESCAPE, OWN, answer, with_access, with_answers, withdrawn_run
from support.evidence.tiny import A, B, run

from chaos.cli.verdict_text import facts
from chaos.evidence.access import AccessEvidence
from chaos.evidence.run import Run
from chaos.judge.judging import build_verdict
from chaos.report.access import probe_rows
from chaos.report.html import render_html

SCHEMA = json.loads(files("chaos.judge").joinpath("verdict.schema.json").read_text())
GOOD = with_access(run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")]))


def shown(judged: Run) -> str:
    return render_html(judged, build_verdict(judged))


def test_the_table_says_what_every_node_answered() -> None:
    escaped = with_answers(GOOD, answer(ESCAPE, B, 20.0, rows=150), answer(ESCAPE, B, 21.0))
    own, escape, identity = probe_rows(build_verdict(escaped).access)
    assert (own.name, own.role, own.expect) == (OWN, "alice", "100 rows")
    assert own.answers == ("100 rows on 2 nodes", "–", "100 rows on 2 nodes", "100 rows on 2 nodes")
    assert escape.answers[1] == "150 rows 1 time; 0 rows 1 time"
    assert identity.answers[0] == "refused on 2 nodes"
    assert [one.is_bad for one in (own, escape, identity)] == [False, True, False]
    assert "Who was let in to what" in shown(escaped)
    assert "20 answers, 1 NOT as expected" in "\n".join(facts(build_verdict(escaped)))


def test_a_withdrawal_and_the_trail_are_told() -> None:
    judged = withdrawn_run(GOOD, [answer(OWN, B, 14.0, rows=100)])
    told = f"{OWN}: withdrawn, and admitted 2.0\N{NO-BREAK SPACE}s longer"
    assert told in "\n".join(facts(build_verdict(judged)))
    assert told in shown(judged)
    assert "18 of 18 accesses are in the logs of the nodes" in shown(GOOD)
    first, *others = GOOD.access.trails
    gone = replace(GOOD.access, trails=(replace(first, entries={}), *others))
    assert "9 of 18 accesses are in the logs of the nodes" in shown(replace(GOOD, access=gone))


def test_nothing_is_called_right_that_nobody_has_seen() -> None:
    judged = replace(GOOD, access=AccessEvidence())
    verdict = build_verdict(judged)
    assert verdict.access is not None
    assert verdict.access.wrong is None
    said = "\n".join(facts(verdict))
    assert "3 probes, 0 answers, not known whether all were as expected" in said
    assert "0 accesses, not known whether all are logged" in said
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(verdict.to_json())))


def test_a_run_without_probes_says_nothing_of_them() -> None:
    silent = run(tiny.load(0.0, 50.0))
    assert "Who was let in" not in shown(silent)
    assert "access" not in "\n".join(facts(build_verdict(silent)))


def test_verdict_json_keeps_to_its_schema() -> None:
    withdrawn = withdrawn_run(GOOD, [answer(OWN, A, 14.0, rows=100)])
    for judged in (GOOD, withdrawn):
        document = json.loads(json.dumps(build_verdict(judged).to_json()))
        Draft202012Validator(SCHEMA).validate(document)
        assert document["access"]["probes"][0]["name"] == OWN
    assert document["access"]["withdrawals"][0]["nodes"] == {A: 2.005, B: 0.0}
