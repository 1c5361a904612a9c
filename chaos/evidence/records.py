"""The records of a run folder: operations and final reads. Values only, no I/O.

Every time is ``t_s``: seconds of CLOCK_MONOTONIC, which all processes of one lab share, so
operations of different load processes can be compared (docs/reference/run-folder.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OperationOutcome = Literal["ok", "fail", "info", "already"]
"""How an operation ended: it took effect, it did not, unknown (Jepsen, 06-refining); or
another caller had applied its unit of work already, so that nothing of this one took effect."""

Scalar = str | int | float | bool | None

ReadPromise = Literal["any", "after"]
"""What a read asks of the member that serves it: nothing of its age, or an operation to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a workload, from call to end.

    ``acknowledged`` means that the storage layer said ``ok``. An operation whose load process died
    before it ended has ``ended_s`` None and outcome ``info``.
    """

    id: str
    site: str
    worker: int
    invoked_s: float
    ended_s: float | None
    outcome: OperationOutcome
    node: str | None = None
    """The node that committed, as far as known (always, when ``ok``)."""
    timeline: int | None = None
    lsn: int | None = None
    """WAL position, in bytes, read inside the transaction: a lower bound of its commit record."""
    attempt_s: float | None = None
    """When the attempt that ended the operation began (the last one, when it was retried)."""
    attempts: int = 1
    resolved: bool = False
    """The commit was in doubt and its id row gave the answer."""
    sqlstate: str | None = None
    error: str | None = None
    leaves_entry: bool = True
    """Where it took effect, the final reads have one row with its id. A mere read leaves none."""
    stopped: bool = False
    """It was still open when the load was stopped: it was not given its time."""
    work: Mapping[str, Scalar] = field(default_factory=dict)
    """What the workload says of it beforehand: accounts, amount (docs/reference/run-folder.md)."""
    result: Mapping[str, Scalar] = field(default_factory=dict)
    """What the workload says of it afterwards: the total that it read, say."""
    shared_unit: str | None = None
    """The unit of work that it was sent under, where a worker of another site sends one under the
    same id, with an entry of its own. None: its own id, which no other uses."""

    asks: ReadPromise | None = None
    """It is no unit of work but a read on the nearest member that keeps this promise; None: it is a
    unit of work, on the primary. ``node`` is then who served it."""
    after: str | None = None
    """The operation that such a read had to see."""
    source: str | None = None
    """``primary`` or ``replica``: what that member was."""

    @property
    def unit(self) -> str:
        """The id of its unit of work."""
        return self.id if self.shared_unit is None else self.shared_unit

    @property
    def begin_s(self) -> float:
        """The earliest moment at which it can have taken effect."""
        return self.invoked_s if self.attempt_s is None else self.attempt_s

    @property
    def end_s(self) -> float:
        """The latest moment at which it can have taken effect."""
        return float("inf") if self.ended_s is None else self.ended_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The event loop of a load process did not run for ``stall_s``: its latencies are not to be
    believed around then."""

    site: str
    t_s: float
    stall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteHistory:
    """What one site's load process wrote, in file order."""

    site: str
    operations: tuple[Operation, ...]
    """The units of work, through the primary: what the service is measured by."""
    reads: tuple[Operation, ...] = ()
    """The workload's own reads on the nearest member (``Operation.asks``), each with an id too."""
    stalls: tuple[Stall, ...] = ()
    complete: bool = True
    """The process closed its history in good order (its last line says so)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """An entry, or a piece of state, as one node holds it. ``content``: its columns as text."""

    id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRead:
    """What one node holds after quiesce, in one snapshot, or why it could not be read."""

    node: str
    rows: tuple[LedgerRow, ...] = ()
    """The entries: for each operation that took effect a row with its id."""
    state: tuple[LedgerRow, ...] = ()
    """What the workload keeps beside its entries: the balance of every account, say."""
    timeline: int | None = None
    lsn: int | None = None
    is_primary: bool | None = None
    error: str | None = None
    """Set when the node could not be read; ``rows`` is then empty and proves nothing."""
