"""Who must be let in to what: the probes, the withdrawals and the trail of a scenario.

A probe is a question to the database, asked as somebody, whose answer is known beforehand
(docs/use/probes.md). Values, and how they are read from TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cluster.errors import Problem
from cluster.toml.reader import TomlTable

Expected = Literal["refused", "same", "rows", "error"]
"""What a probe must be answered: it is refused; with the same rows as on the primary before the
fault; with so many rows; with an error that is no refusal, as a wrong cast is."""

FORMS = ("refused", "same", "rows = 100", "error")
"""How it is written in TOML."""
NEUTRAL: tuple[Expected, int | None] = ("refused", None)
_ROWS = re.compile(r"rows *= *(\d{1,9})")

HOUR_S = 3600.0
DAYS_MAX = 3660.0
SEALED_CHARACTERS_MIN = 8
"""Shorter texts stand in a log by chance, as part of a number or a name."""
WITHIN_S = 10.0
"""In how many seconds a withdrawal must be in force everywhere, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One question, and its right answer."""

    name: str
    role: str
    """Who asks: a role that the setup makes. It logs in, through the door of each node."""
    sql: tuple[str, ...]
    """Statements of one session; the rows of the last one are the answer."""
    expect: Expected
    rows: int | None = None
    """How many, where ``expect`` is ``rows``."""

    @property
    def is_escape(self) -> bool:
        """It tries to get at what is sealed: any row is too much."""
        return self.expect == "refused" or self.rows == 0

    @property
    def words(self) -> str:
        """The right answer in words."""
        if self.expect == "rows":
            return f"{self.rows} row{'' if self.rows == 1 else 's'}"
        words = {"refused": "refused", "error": "an error that is no refusal"}
        return words.get(self.expect, "the same everywhere")

    @property
    def lets_in(self) -> bool:
        """Its right answer shows rows: a right that can be withdrawn."""
        return self.expect in {"same", "rows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalSpec:
    """A right that is taken away while the faults last."""

    sql: str
    """The statement; the superuser runs it on the primary."""
    probe: str
    """The name of the probe that must be refused from then on."""
    at_s: float
    """Seconds after the fault phase begins."""
    within_s: float = WITHIN_S
    """How long after its acknowledgement any node that can be reached may still admit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSpec:
    """All that a scenario asks about access; by default nothing."""

    setup: tuple[str, ...] = ()
    """Statements that the superuser runs on the primary before the load begins."""
    probes: tuple[ProbeSpec, ...] = ()
    withdrawals: tuple[WithdrawalSpec, ...] = ()
    trail: bool = False
    """Every acknowledged access must be in the logs of the nodes at the end."""
    trail_days: float = 0.0
    """For so long the settings of every node must keep its logs; 0: nothing is asked."""
    sealed_values: tuple[str, ...] = ()
    """Texts of sealed columns, made up for the drill: no line of the logs may have one."""
    moving: tuple[str, ...] = ()
    """Beginnings of names of roles and schemas that come and go while the load runs: what concerns
    them is left out when rights are compared."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Everybody who asks, once."""
        return tuple(dict.fromkeys(probe.role for probe in self.probes))

    def probe(self, name: str) -> ProbeSpec:
        """By its name; KeyError where there is none."""
        for probe in self.probes:
            if probe.name == name:
                return probe
        raise KeyError(name)


NO_ACCESS = AccessSpec()


def read_access(root: TomlTable) -> AccessSpec:
    """``setup``, what is asked of the trail, ``[[probe]]`` and ``[[withdrawal]]``."""
    return AccessSpec(
        setup=root.texts("setup") if root.has("setup") else (),
        probes=tuple(_read_probe(one) for one in root.tables("probe", optional=True)),
        withdrawals=tuple(
            _read_withdrawal(one) for one in root.tables("withdrawal", optional=True)
        ),
        trail=root.flag("trail", False),
        trail_days=root.number("trail_days", minimum=0.0, maximum=DAYS_MAX, default=0.0),
        sealed_values=root.texts("sealed_values") if root.has("sealed_values") else (),
        moving=root.texts("moving") if root.has("moving") else (),
    )


def with_access_of(access: AccessSpec, workload: AccessSpec) -> AccessSpec:
    """What a scenario asks, and what its workload asks besides; a probe that the scenario has too,
    by its name, is the scenario's."""
    known = {probe.name for probe in access.probes}
    own = tuple(probe for probe in workload.probes if probe.name not in known)
    moving = tuple(dict.fromkeys([*access.moving, *workload.moving]))
    sealed = tuple(dict.fromkeys([*access.sealed_values, *workload.sealed_values]))
    return replace(access, probes=(*access.probes, *own), moving=moving, sealed_values=sealed)


def access_tables(access: AccessSpec) -> Iterator[tuple[str, dict[str, object]]]:
    """What ``read_access`` reads back: (heading, keys) of each table, without what says nothing;
    the first one has no heading."""
    yield (
        "",
        {
            "setup": list(access.setup) or None,
            "trail": access.trail or None,
            "trail_days": access.trail_days or None,
            "sealed_values": list(access.sealed_values) or None,
            "moving": list(access.moving) or None,
        },
    )
    for probe in access.probes:
        keys = {"name": probe.name, "as": probe.role, "sql": list(probe.sql)}
        expect = f"rows = {probe.rows}" if probe.expect == "rows" else probe.expect
        yield "[[probe]]", {**keys, "expect": expect}
    for one in access.withdrawals:
        limits = {"at_s": one.at_s, "within_s": one.within_s}
        yield "[[withdrawal]]", {"probe": one.probe, "sql": one.sql, **limits}


def problems_of_access(access: AccessSpec, fault_s: float) -> Iterator[Problem]:
    """What cannot be asked, although every key has the right type.

    Args:
        access: what is asked.
        fault_s: how long the faults last at least.
    """
    names = [probe.name for probe in access.probes]
    for index, probe in enumerate(access.probes):
        if names.index(probe.name) != index:
            words = f"{probe.name} is the name of another probe too; give each its own"
            yield Problem(key=f"probe[{index}].name", words=words)
    yield from _problems_of_the_trail(access)
    if access.trail and not any(probe.lets_in for probe in access.probes):
        words = "nobody is let in, so there is no access to look for; add a [[probe]] with rows"
        yield Problem(key="trail", words=words)
    if access.setup and not access.probes:
        words = "what it makes is asked by nobody; add a [[probe]]"
        yield Problem(key="setup", words=words)
    yield from _problems_of_withdrawals(access.withdrawals, access.probes)
    for index, withdrawal in enumerate(access.withdrawals):
        if withdrawal.at_s > fault_s:
            words = f"expected at most fault_s = {fault_s:g}; found {withdrawal.at_s:g}"
            yield Problem(key=f"withdrawal[{index}].at_s", words=words)


def _problems_of_the_trail(access: AccessSpec) -> Iterator[Problem]:
    if access.trail_days and not access.probes:
        words = "the settings of the logs are taken down with the probes; add a [[probe]]"
        yield Problem(key="trail_days", words=words)
    for index, value in enumerate(access.sealed_values):
        if len(value) < SEALED_CHARACTERS_MIN:
            words = f"expected at least {SEALED_CHARACTERS_MIN} characters; found {len(value)}: it "
            words += "could stand in a log by chance"
            yield Problem(key=f"sealed_values[{index}]", words=words)


def _problems_of_withdrawals(
    withdrawals: Iterable[WithdrawalSpec], probes: Iterable[ProbeSpec]
) -> Iterator[Problem]:
    admitted = [probe.name for probe in probes if probe.lets_in]
    seen = set[str]()
    for index, one in enumerate(withdrawals):
        key = f"withdrawal[{index}].probe"
        if one.probe not in admitted:
            known = ", ".join(admitted) or "there is none"
            words = f"expected a probe that is let in before ({known}); found {one.probe}"
            yield Problem(key=key, words=words)
        elif one.probe in seen:
            yield Problem(key=key, words=f"{one.probe} is withdrawn already by one before")
        seen.add(one.probe)


def _read_probe(table: TomlTable) -> ProbeSpec:
    expect, rows = table.parsed("expect", parse_expected, FORMS, NEUTRAL)
    return ProbeSpec(
        name=table.line("name"),
        role=table.line("as"),
        sql=table.texts("sql"),
        expect=expect,
        rows=rows,
    )


def parse_expected(text: str) -> tuple[Expected, int | None] | None:
    """None: it is none of the ``FORMS``."""
    if text == "refused":
        return "refused", None
    if text == "same":
        return "same", None
    if text == "error":
        return "error", None
    found = _ROWS.fullmatch(text)
    return ("rows", int(found[1])) if found else None


def _read_withdrawal(table: TomlTable) -> WithdrawalSpec:
    return WithdrawalSpec(
        sql=table.text("sql"),
        probe=table.line("probe"),
        at_s=table.number("at_s", minimum=0.0, maximum=HOUR_S),
        within_s=table.number("within_s", minimum=0.0, maximum=HOUR_S, default=WITHIN_S),
    )
