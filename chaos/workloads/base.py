"""The running part of a workload: what the load processes call to change the database.

The common checkers rely on these rules: every operation has an id that is never used twice; where
it took effect, the final read has a row with that id, and where it did not, none (except mere
reads, which say so: ``Work.leaves_entry``). No table has a unique key on that id: the key would
turn an entry that was applied twice into an error, and the drill could not find the duplicate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, LiteralString, Protocol, runtime_checkable

import anyio

from chaos.evidence.records import Scalar
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.client import LoadClient
from chaos.workloads.config import LoadConfig
from chaos.workloads.journal import Journal
from chaos.workloads.registry import WORKLOADS
from replication import Isolation, Transaction
from replication.wire import Session

WorkResult = Mapping[str, Scalar]
"""What an operation found out, for the history; empty where there is nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation, before it is begun."""

    id: str
    apply: Callable[[Transaction], Awaitable[WorkResult]]
    """The unit of work; may be called several times, always in a fresh transaction."""
    leaves_entry: bool = True
    isolation: Isolation | None = None
    """The server's default if None."""
    about: Mapping[str, Scalar] = field(default_factory=dict)
    """What the checkers must know of it, for the history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLoad:
    """What a workload is given to load one site with."""

    config: LoadConfig
    storage: LoadClient
    """What it speaks to."""
    journal: Journal
    stopping: anyio.Event
    """Set when nothing new may be begun."""


class Workload(Protocol):
    """One kind of load, made from its options."""

    tables: tuple[LiteralString, ...]
    """Idempotent statements that make its tables in the schema ``bascule``."""
    grants: tuple[LiteralString, ...]
    """What the load's role needs of them; ``{role}`` stands for its name."""
    final_read: LiteralString
    """One statement, so one snapshot, of three text columns: ``row`` or ``state``, an id, and the
    content. ``row``: an entry, with the id of its operation. ``state``: anything else that is kept
    (an account and its balance). In an order that is the same on every node."""

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Statements with their values that fill the tables before the load begins."""
        ...

    async def run(self, load: SiteLoad) -> None:
        """Load one site until ``load.stopping`` is set, then return once nothing is open.

        The caller limits how long that may take, and cancels what is still open then.
        """
        ...


@runtime_checkable
class Filling(Protocol):
    """A workload that begins with more than a few statements can say: thousands of rows."""

    async def fill(self, admin: Session) -> None:
        """Make schemas of its own and what is in them, before the load's role gets its rights.

        Idempotent.

        Args:
            admin: a session of a superuser to the primary.

        Raises:
            PreflightError: it cannot be done here; says why, and the remedy.
        """
        ...


def load_workload(spec: WorkloadSpec) -> Workload:
    """Import what runs of a workload, and make it from its options."""
    make: Callable[[Any], Workload] = resolve_name(WORKLOADS[spec.kind].load)
    return make(spec.options)
