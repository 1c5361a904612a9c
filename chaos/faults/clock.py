"""What the faults of clocks share: whom they strike, their proof, how they are undone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pkgutil import resolve_name
from random import Random
from typing import TypeVar

import anyio

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.programs import NO_POWER
from chaos.faults.roles import only_with
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined, plural, possessive
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from cluster.substrates.base import ClockSettable, ClockShift, Killable
from cluster.toml.reader import TomlTable

P = TypeVar("P", bound=FaultParams)

ServerClock = Callable[[RaisedCluster, str], Awaitable[float | None]]

PROOF_TIMEOUT_S = 10.0
"""PostgreSQL's processes follow within two seconds."""
POLL_S = 0.1
TOLERANCE_S = 1.2
"""Patroni dates its answers in whole seconds, and an answer takes a moment."""


def clock_fault(  # noqa: PLR0913 (one a part)
    key: str,
    *,
    words: FaultWords,
    params: type[P],
    read: Callable[[TomlTable], P],
    shift_of: Callable[[P], ClockShift],
    draw: Callable[[Random], P],
    said: Callable[[P], str] = lambda params: "",
) -> FaultKind[P]:
    """A fault of the clock of hosts with PostgreSQL.

    Args:
        key: of the fault.
        words: what it is called.
        params: how wrong the clock is.
        read: reads them from a scenario.
        shift_of: them, as a substrate puts it.
        draw: draws some.
        said: them, in words that stand before the proof.
    """

    async def strike(stage: Stage, victim: Victim, params: P) -> str:
        return said(params) + await shift_clock(stage, victim.name, shift_of(params))

    async def undo(stage: Stage, victim: Victim, params: P) -> str:
        return await restore_clock(stage, victim.name, shift_of(params))

    return FaultKind(
        key=key,
        words=words,
        params=params,
        read=read,
        takes=HOSTS,
        needs=(ClockSettable, Killable),
        lasts=True,
        effect=lambda params: "unpredicted",
        strike=strike,
        undo=undo,
        draw=draw,
        impossible=only_with("postgres", key),
    )


async def shift_clock(stage: Stage, host: str, shift: ClockShift) -> str:
    """Put the clock of a host wrong; the proof, as soon as its programs see it, in words.

    Raises:
        ClusterError: no program of the host says so in time.
    """
    if not stage.able(Killable).has_power(host):
        raise ClusterError(f"{host} has no power: nobody there looks at a clock", host=host)
    await stage.able(ClockSettable).shift_clock(host, shift)
    return await _proof(stage, host)


async def restore_clock(stage: Stage, host: str, shift: ClockShift) -> str:
    """Take it away in one step, as NTP does where a clock is far off; the proof, in words."""
    machine = stage.able(ClockSettable)
    before_s = machine.clock_offset_s(host)
    await machine.restore_clock(host, shift)
    if not stage.able(Killable).has_power(host):
        return f"{NO_POWER}; its clock is set"
    back_s = machine.clock_offset_s(host) - before_s
    return f"set by {back_s:+.1f} s: {await _proof(stage, host)}"


def clocks_of(hosts: Sequence[str]) -> str:
    """``db-paris' clock``, ``db-paris' and db-orsay's clocks``."""
    return f"{joined([possessive(host) for host in hosts])} {plural('clock', hosts)}"


async def _proof(stage: Stage, host: str) -> str:
    """How far off the clocks of Patroni and PostgreSQL are, once both are where they are to be.

    A program that does not answer, and was not seen right or wrong, is left out; one must answer.
    """
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    server_clock_s: ServerClock = resolve_name("chaos.load.server_clock:server_clock_s")
    machine = stage.able(ClockSettable)
    seen: dict[str, float] = {}
    with anyio.move_on_after(PROOF_TIMEOUT_S):
        while True:
            asked_s, to_be_s = time.time(), machine.clock_offset_s(host)
            found = {
                "Patroni": await stage.cluster.rest[host].clock_s(),
                "PostgreSQL": await server_clock_s(stage.cluster, host),
            }
            took_s = time.time() - asked_s
            seen = {name: at_s - asked_s for name, at_s in found.items() if at_s is not None}
            off = [abs(ahead_s - to_be_s) - took_s > TOLERANCE_S for ahead_s in seen.values()]
            if seen and not any(off):
                return _in_words(seen)
            await anyio.sleep(POLL_S)
    words = _in_words(seen) if seen else "neither Patroni nor PostgreSQL says what time it is"
    raise ClusterError(f"the clock of {host} was not set: {words}", host=host)


def _in_words(seen: dict[str, float]) -> str:
    return "; ".join(f"{name}'s clock is {ahead_s:+.1f} s off" for name, ahead_s in seen.items())
