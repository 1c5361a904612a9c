"""What is broken is in the book from before the stroke until it is undone, and is healed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import anyio
import pytest

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.book import Book, Stroke, Undoing
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Victim
from cluster.errors import ClusterError

STAGE = Stage(cluster=cast(Any, None))


class Machine:
    """Strikes and undoes what it is not told to refuse."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refused: dict[str, Exception] = {}

    async def strike(self, _: object, victim: Victim, __: FaultParams) -> str:
        return self._do(f"strike {victim.name}")

    async def undo(self, _: object, victim: Victim, __: FaultParams) -> str:
        return self._do(f"undo {victim.name}")

    def _do(self, what: str) -> str:
        if what in self.refused:
            raise self.refused[what]
        self.done.append(what)
        return what


@pytest.fixture
def machine() -> Machine:
    return Machine()


def kind(machine: Machine, fault: str = "link-cut") -> FaultKind[Any]:
    return replace(FAULTS[fault], strike=machine.strike, undo=machine.undo)


def stroke(of: FaultKind[Any], *hosts: str) -> Stroke:
    return Stroke(kind=of, victim=Victim(name=hosts[0], hosts=hosts), params=of.params())


def heal(book: Book) -> list[Undoing]:
    async def all_of_it() -> list[Undoing]:
        return [undoing async for undoing in book.heal(STAGE)]

    return anyio.run(all_of_it)


def test_the_newest_is_healed_first_and_one_that_cannot_be_keeps_no_other_broken(
    machine: Machine,
) -> None:
    book = Book()
    strokes = [stroke(kind(machine), host) for host in "abc"]
    for one in strokes:
        anyio.run(book.strike, STAGE, one)
    assert book.broken == tuple(strokes)
    assert book.hosts == {"a", "b", "c"}
    machine.refused = {"undo b": ExceptionGroup("several", [ClusterError("stuck")])}
    found = heal(book)
    assert [(one.stroke.victim.name, one.error is None) for one in found] == [
        ("c", True),
        ("b", False),
        ("a", True),
    ]
    assert book.broken == (strokes[1],)
    machine.refused.clear()
    assert [one.detail for one in heal(book)] == ["undo b"]  # it is tried again
    assert heal(book) == []


def test_what_was_half_struck_is_healed_too(machine: Machine) -> None:
    book, half = Book(), stroke(kind(machine), "a")
    machine.refused = {"strike a": ClusterError("the plug is stuck")}
    with pytest.raises(ClusterError, match="stuck"):
        anyio.run(book.strike, STAGE, half)
    assert book.broken == (half,)
    assert [one.detail for one in heal(book)] == ["undo a"]


def test_what_is_over_once_it_has_struck_is_not_in_the_book(machine: Machine) -> None:
    book = Book()
    assert anyio.run(book.strike, STAGE, stroke(kind(machine, "process-kill"), "a")) == "strike a"
    assert book.broken == ()


def test_the_same_fault_may_last_with_other_parameters(machine: Machine) -> None:
    book = Book()
    of = kind(machine, "process-kill")
    dead = replace(stroke(of, "a"), params=of.params(process="patroni"))
    assert anyio.run(book.strike, STAGE, dead) == "strike a"
    assert book.broken == (dead,)
    assert dead.ends_processes
    assert not stroke(kind(machine), "a").ends_processes
    assert stroke(kind(machine, "host-power-cut"), "a").ends_processes


def test_one_is_undone_and_the_same_fault_elsewhere_stays(machine: Machine) -> None:
    book = Book()
    here, there = stroke(kind(machine), "a"), stroke(kind(machine), "b")
    dark = stroke(kind(machine, "host-power-cut"), "a")
    for one in (here, there, dark):
        book.note(one)
    assert book.of("link-cut", "a") == (here,)
    assert book.dark_hosts == {"a"}
    anyio.run(book.undo, STAGE, here)
    assert book.of("link-cut", "a") == ()
    assert book.broken == (there, dark)


def test_a_site_is_broken_as_one_and_all_its_hosts_are_struck(machine: Machine) -> None:
    book = Book()
    book.note(stroke(kind(machine, "site-cut"), "paris", "db-paris", "dcs-paris"))
    assert [str(one) for one in book.broken] == ["site-cut on paris"]
    assert book.hosts >= {"db-paris", "dcs-paris"}
