"""What a workload is: the seam between the processes of a drill and what they do to the database.

A workload is one module here, one line in ``registry.py``, and its name and default rate
in ``chaos/scenarios/model.py``. What judges it is pure and reads only the run folder, so it stands
with the checkers: ``Checker.workloads`` says which of them know this one.

What all of them keep to, because the common checkers count on it: every operation has an id that
is never used twice; where it took effect, the final read has a row with that id, and where it did
not, none (but for mere reads, which say so: ``Work.leaves_entry``). No table has a unique key on
that id: the key would turn an entry that was applied twice into an error, and the drill could
never see what it is there to find.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString, Protocol

import anyio

from chaos.evidence.records import Scalar
from chaos.scenarios.model import WorkloadKind, WorkloadSpec
from chaos.workloads.config import LoadConfig
from chaos.workloads.journal import Journal
from replication import Storage, Transaction

Result = Mapping[str, Scalar]
"""What an operation found out, for the history; empty where there is nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation, before it is begun."""

    id: str
    apply: Callable[[Transaction], Awaitable[Result]]
    """The unit of work; may be called several times, always in a fresh transaction."""
    leaves_entry: bool = True
    about: Mapping[str, Scalar] = field(default_factory=dict)
    """What the checkers must know of it, for the history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLoad:
    """What a workload is given to load one site with."""

    config: LoadConfig
    storage: Storage
    journal: Journal
    stopping: anyio.Event
    """Set when nothing new may be begun."""


class Workload(Protocol):
    """One kind of load."""

    kind: WorkloadKind
    tables: tuple[LiteralString, ...]
    """Idempotent statements that make its tables in the schema ``bascule``."""
    grants: tuple[LiteralString, ...]
    """What the load's role needs of them; ``{role}`` stands for its name."""
    final_read: LiteralString
    """One statement, so one snapshot, of three text columns: ``row`` or ``state``, an id, and the
    content. ``row``: an entry, with the id of its operation. ``state``: anything else that is kept
    (an account and its balance). In an order that is the same on every node."""

    def opening(self, spec: WorkloadSpec) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Statements with their values that fill the tables before the load begins."""
        ...

    async def run(self, load: SiteLoad) -> None:
        """Load one site until ``load.stopping`` is set, then return once nothing is open.

        The caller limits how long that may take, and cancels what is still open then.
        """
        ...
