"""Answers to probes, fingerprints, withdrawals and trails written by hand, put into a tiny run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from support.evidence.tiny import A, B

from chaos.evidence.access import (
    ROUNDS,
    AccessEvidence,
    AskedOutcome,
    Moment,
    NodePrint,
    NodeTrail,
    ProbeAnswer,
    Withdrawn,
)
from chaos.evidence.run import Run
from chaos.scenarios.access import AccessSpec, Expected, ProbeSpec, WithdrawalSpec

NODES = (A, B)
AT_S: Mapping[Moment, float] = {
    "before": 5.0,
    "meanwhile": 20.0,
    "withdrawn": 15.0,
    "promoted": 38.0,
    "rejoined": 48.0,
}
OWN = "reads her own"
ESCAPE = "forges a setting"
IDENTITY = "asks for names"
RIGHTS = {"role alice": "LOGIN INHERIT", "schema core": "owner postgres"}
DOORS = {"HBA rule 1": "host all all all scram-sha-256", "setting log_directory": "../log"}


def probe(name: str, expect: Expected, rows: int | None = None) -> ProbeSpec:
    """A probe of alice's."""
    return ProbeSpec(name=name, role="alice", sql=("SELECT 1",), expect=expect, rows=rows)


PROBES = (probe(OWN, "rows", 100), probe(ESCAPE, "rows", 0), probe(IDENTITY, "refused"))


def answer(
    name: str,
    node: str,
    at_s: float,
    *,
    moment: Moment = "meanwhile",
    outcome: AskedOutcome = "rows",
    rows: int | None = 0,
    digest: str = "d",
    sqlstate: str | None = None,
) -> ProbeAnswer:
    """An answer that took 5 ms."""
    is_refused = outcome == "refused"
    return ProbeAnswer(
        id=f"{node}-{name.split(maxsplit=1)[0]}-{at_s:g}",
        probe=name,
        role="alice",
        node=node,
        moment=moment,
        begin_s=at_s,
        end_s=at_s + 0.005,
        outcome=outcome,
        rows=rows if outcome == "rows" else None,
        digest=digest if outcome == "rows" else None,
        logged_in=outcome != "unanswered",
        sqlstate="42501" if is_refused and sqlstate is None else sqlstate,
    )


def right(spec: ProbeSpec, node: str, moment: Moment) -> ProbeAnswer:
    """What the probe must be answered."""
    if spec.expect == "refused":
        return answer(spec.name, node, AT_S[moment], moment=moment, outcome="refused")
    rows = 7 if spec.rows is None else spec.rows
    return answer(spec.name, node, AT_S[moment], moment=moment, rows=rows)


def fingerprint(node: str, moment: Moment, **other: object) -> NodePrint:
    """As all nodes have it; ``other`` fields differ."""
    one = NodePrint(
        node=node,
        moment=moment,
        t_s=AT_S[moment],
        is_primary=node == (A if moment == "before" else B),
        caught_up=True,
        rights=RIGHTS,
        doors=DOORS,
    )
    return replace(one, **other)  # type: ignore[arg-type]


def all_right(access: AccessSpec) -> AccessEvidence:
    """Every probe answered as it must be, everywhere; the nodes alike; a whole trail."""
    answers = [
        right(spec, node, moment) for moment in ROUNDS for node in NODES for spec in access.probes
    ]
    return AccessEvidence(
        answers=tuple(answers),
        prints=tuple(fingerprint(node, moment) for moment in ROUNDS for node in NODES),
        trails=tuple(
            NodeTrail(
                node=node,
                directory="../log",
                entries={one.id: "alice" for one in answers if one.node == node},
            )
            for node in NODES
        ),
        complete=True,
    )


def with_access(
    judged: Run, access: AccessSpec | None = None, evidence: AccessEvidence | None = None
) -> Run:
    """The same run, in which access was asked for; by default all is well."""
    asked = AccessSpec(probes=PROBES, trail=True) if access is None else access
    info = replace(judged.info, scenario=replace(judged.info.scenario, access=asked))
    return replace(judged, info=info, access=evidence or all_right(asked))


def with_answers(judged: Run, *more: ProbeAnswer) -> Run:
    """The same run with these answers too, each in the trail of its node."""
    access = judged.access
    trails = tuple(
        replace(
            trail,
            entries={
                **trail.entries,
                **{one.id: "alice" for one in more if one.node == trail.node},
            },
        )
        for trail in access.trails
    )
    return replace(judged, access=replace(access, answers=(*access.answers, *more), trails=trails))


def with_print(judged: Run, changed: NodePrint) -> Run:
    """The same run with this fingerprint in place of the one of its node and moment."""
    kept = [
        one
        for one in judged.access.prints
        if (one.node, one.moment) != (changed.node, changed.moment)
    ]
    return replace(judged, access=replace(judged.access, prints=(*kept, changed)))


WITHDRAWAL = WithdrawalSpec(sql="REVOKE", probe=OWN, at_s=2.0, within_s=10.0)
ACKNOWLEDGED_S = 12.0


def withdrawn_run(judged: Run, answers: Iterable[ProbeAnswer]) -> Run:
    """The right to ``OWN`` was withdrawn at 12 s; between the rounds these answers."""
    asked = AccessSpec(probes=PROBES, withdrawals=(WITHDRAWAL,))
    well = all_right(asked)
    rounds = [
        answer(OWN, one.node, AT_S[one.moment], moment=one.moment, outcome="refused")
        if one.probe == OWN and one.moment != "before"
        else one
        for one in well.answers
    ]
    done = Withdrawn(probe=OWN, sql="REVOKE", begin_s=11.9, end_s=ACKNOWLEDGED_S, node=A)
    print_then = replace(fingerprint(A, "withdrawn"), is_primary=True)
    evidence = replace(
        well,
        answers=(*rounds, *answers),
        withdrawn=(done,),
        prints=(*well.prints, print_then),
    )
    return with_access(judged, asked, evidence)
