"""Whether anybody who asks could get around every seal: by an attribute or a role of the server.

No policy binds a superuser or BYPASSRLS; REPLICATION sees every byte of WAL; the predefined roles
below read all tables, or files of the server, or run programs on it (PostgreSQL manual, 21.5). And
who is in two projects joins what was sealed apart. Looked for in the rights of every node at every
round, of the roles that ask probes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from chaos.checkers.base import Checker
from chaos.checkers.needs import access_file
from chaos.checkers.seals import MOMENT_WORDS
from chaos.evidence.access import NodePrint
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, invalid

TOO_POWERFUL = FindingKind(
    word="too-powerful",
    meaning="INVALID: a role that asks probes is superuser, or has BYPASSRLS, REPLICATION or a "
    "predefined role that reads or runs everything; or it is in the roles of two workspaces.",
    heading="Member with a power that no seal withstands",
    proved="members had powers that no seal withstands",
    undecided="it is not known whether members had powers that no seal withstands",
)

ATTRIBUTES = ("SUPERUSER", "BYPASSRLS", "REPLICATION", "CREATEROLE")
PREDEFINED = (
    *("pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files"),
    *("pg_execute_server_program", "pg_monitor"),
)
"""``pg_monitor`` lists the logs."""
WORKSPACE = "ws_"
"""Before the names of the roles of workspaces (``chaos/workloads/warehouse/workspaces.py``)."""

_MEMBER = re.compile(r"member (\S+) of (\S+) by \S+")


def check(run: Run) -> list[Finding]:
    """One finding a node and moment."""
    asking = frozenset(run.info.scenario.access.roles)
    findings: list[Finding] = []
    for one in run.access.prints:
        if one.error is None:
            findings += invalid(
                kind=TOO_POWERFUL,
                summary=f"On {one.node} {MOMENT_WORDS[one.moment]} who asks probes has powers that "
                "no seal withstands: {n}.",
                evidence=_powers(one, asking),
            )
    return findings


def _powers(found: NodePrint, asking: frozenset[str]) -> Iterator[Evidence]:
    groups = groups_of(found.rights)
    for role in sorted(asking):
        reached = _reached(role, groups)
        for name in (role, *sorted(reached)):
            attributes = found.rights.get(f"role {name}", "").split()
            for attribute in ATTRIBUTES:
                if attribute in attributes:
                    yield _proof(found, role, f"{attribute} by {name}")
        for name in sorted(reached & set(PREDEFINED)):
            yield _proof(found, role, f"member of {name}")
        spaces = sorted(name for name in reached if name.startswith(WORKSPACE))
        if len(spaces) > 1:
            yield _proof(found, role, f"member of {' and '.join(spaces)}")


def _proof(found: NodePrint, role: str, power: str) -> Evidence:
    return {"node": found.node, "moment": found.moment, "role": role, "power": power}


def groups_of(rights: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    """By role, the roles that it is a member of."""
    groups: dict[str, set[str]] = {}
    for item in rights:
        match = _MEMBER.fullmatch(item)
        if match:
            groups.setdefault(match[1], set()).add(match[2])
    return {role: frozenset(of) for role, of in groups.items()}


def _reached(role: str, groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The roles that it is a member of, also by way of others."""
    reached: set[str] = set()
    left = [role]
    while left:
        new = groups.get(left.pop(), frozenset()) - reached
        reached |= new
        left += new
    return frozenset(reached)


CHECKER = Checker(
    name="powers",
    question="Nobody who asks has a power that no seal withstands, or is in two workspaces.",
    check=check,
    finds=(TOO_POWERFUL,),
    needs=(access_file,),
    is_asked=lambda run: run.asks_access,
)
