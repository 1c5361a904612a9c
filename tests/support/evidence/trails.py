"""A run whose logs are searched for sealed values, and kept for months: all is well with it."""

from __future__ import annotations

from dataclasses import replace

from support.evidence import tiny
from support.evidence.accesses import (
    AT_S,
    DOORS,
    NODES,
    PROBES,
    answer,
    fingerprint,
    probe,
    with_access,
    with_answers,
    with_print,
)
from support.evidence.tiny import run

from chaos.evidence.run import Run
from chaos.scenarios.access import AccessSpec

VALUE = "canari-0123456789ab"
CAST = "casts a name"
ASKED = AccessSpec(
    probes=(*PROBES, probe(CAST, "error")), trail=True, trail_days=183.0, sealed_values=(VALUE,)
)
KEPT = {
    "setting log_truncate_on_rotation": "off",
    "setting log_rotation_age": "1440",
    "setting log_filename": "postgresql-%Y-%m-%d_%H%M%S.log",
}


def asked_run() -> Run:
    """All is well: errors were made on both nodes, and no log has a value."""
    found = with_access(run([*tiny.load(0.0, 50.0)]), ASKED)
    answers = [one for one in found.access.answers if one.probe != CAST]
    prints = tuple(replace(one, doors={**DOORS, **KEPT}) for one in found.access.prints)
    found = replace(found, access=replace(found.access, answers=tuple(answers), prints=prints))
    casts = [
        answer(CAST, node, AT_S[moment], moment=moment, outcome="error", sqlstate="22P02")
        for node in NODES
        for moment in ("before", "promoted", "rejoined")
    ]
    return with_answers(found, *casts)


def with_value(judged: Run, node: str) -> Run:
    """The same run, in which three lines of that node's logs have the value."""
    trails = tuple(
        replace(one, values={VALUE: "3"}) if one.node == node else one
        for one in judged.access.trails
    )
    return replace(judged, access=replace(judged.access, trails=trails))


def weekly(judged: Run, node: str) -> Run:
    """The same run, in which that node, once promoted, writes over its logs after a week."""
    settings = {
        "setting log_truncate_on_rotation": "on",
        "setting log_filename": "postgresql-%a.log",
    }
    changed = fingerprint(node, "promoted", doors={**DOORS, **KEPT, **settings})
    return with_print(judged, changed)
