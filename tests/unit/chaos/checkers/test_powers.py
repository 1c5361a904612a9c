"""Powers that no seal withstands: rights that the checker must accept, and those to reject."""

from __future__ import annotations

import pytest
from support.evidence import tiny
from support.evidence.accesses import RIGHTS, fingerprint, with_access, with_print
from support.evidence.tiny import A, run

from chaos.checkers import powers

GOOD = with_access(run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")]))
BY = "by postgres"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"role postgres": "LOGIN SUPERUSER", f"member alice of cardio {BY}": "{}"},
        {f"member alice of ws_cardio {BY}": "{}", "role ws_cardio": "NOLOGIN INHERIT"},
        {"role bruno": "LOGIN SUPERUSER", f"member bruno of pg_read_all_data {BY}": "{}"},
    ],
    ids=["nothing", "a project's", "a workspace's", "somebody who asks nothing"],
)
def test_rights_as_they_should_be(more: dict[str, str]) -> None:
    judged = with_print(GOOD, fingerprint(A, "rejoined", rights=RIGHTS | more))
    assert powers.check(judged) == []


@pytest.mark.parametrize(
    ("more", "power"),
    [
        ({"role alice": "LOGIN SUPERUSER"}, "SUPERUSER by alice"),
        ({"role alice": "LOGIN INHERIT BYPASSRLS"}, "BYPASSRLS by alice"),
        ({"role alice": "LOGIN INHERIT REPLICATION"}, "REPLICATION by alice"),
        ({f"member alice of pg_read_all_data {BY}": "{}"}, "member of pg_read_all_data"),
        (
            {f"member alice of cardio {BY}": "{}", f"member cardio of pg_monitor {BY}": "{}"},
            "member of pg_monitor",
        ),
        (
            {f"member alice of root {BY}": "{}", "role root": "NOLOGIN SUPERUSER"},
            "SUPERUSER by root",
        ),
        (
            {f"member alice of ws_a {BY}": "{}", f"member alice of ws_b {BY}": "{}"},
            "member of ws_a and ws_b",
        ),
    ],
)
def test_a_power_that_no_seal_withstands(more: dict[str, str], power: str) -> None:
    judged = with_print(GOOD, fingerprint(A, "rejoined", rights=RIGHTS | more))
    [finding] = powers.check(judged)
    assert finding.kind is powers.TOO_POWERFUL
    [proof] = finding.evidence
    assert (proof["node"], proof["moment"], proof["role"]) == (A, "rejoined", "alice")
    assert proof["power"] == power


def test_roles_in_a_circle_are_looked_through_once() -> None:
    circle = {f"member alice of a {BY}": "{}", f"member a of b {BY}": "{}"}
    more = circle | {f"member b of a {BY}": "{}"}
    judged = with_print(GOOD, fingerprint(A, "rejoined", rights=RIGHTS | more))
    assert powers.check(judged) == []
