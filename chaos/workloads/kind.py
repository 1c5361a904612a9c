"""What a workload says about itself: ``WorkloadKind``. Values only.

A workload is one folder here and one line in ``registry.py``. The folder's ``__init__.py`` holds
its kind and the options that a scenario may set, ``load.py`` what it does to the database,
``check_*.py`` what judges it. Scenarios are read and runs are judged without a database, so a kind
only names its modules (``load``, ``checkers``); they are imported where they are used. What
several let a scenario ask for (a level, reads on replicas) is read and drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, Self, get_args

from cluster.toml.reader import TomlTable

IsolationName = Literal["read-committed", "repeatable-read", "serializable"]
"""PostgreSQL's levels (manual, 13.2), as options write them."""
ClientName = Literal["storage", "psycopg"]
"""What a workload speaks to: the storage layer, or plain psycopg for comparison."""
NO_PROXY_FOR_STORAGE = (
    "the storage layer goes straight to the members: it knows by itself who leads, and says which "
    "member acknowledged what. PgBouncer it refuses, because its sessions need a server of their "
    "own; behind HAProxy nobody could say which member answered"
)
"""Why ``--through`` needs plain psycopg."""
READS_SHARE_MAX = 5.0
READS_DRAWN = (0.0, 0.5, 1.0, 2.0)
"""What a campaign draws of ``replica_reads``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """What a scenario may set of a workload, each with its default; here: nothing.

    The options stand in the run folder, because the checkers count from them.
    """

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario; what is not read here is refused as unknown."""
        return cls()

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """As a campaign draws them; here: always the defaults."""
        return cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKind:
    """A workload, without the code that runs."""

    key: str
    """Its name in scenarios and run folders."""
    options: type[WorkloadOptions]
    """A dataclass of its own: a run's workload is found by it."""
    rate_per_s: float
    """Operations a second and site, if no other rate is asked for."""
    limits: str
    """What a run with it cannot prove, in a sentence for the report."""
    load: str
    """``module:class`` of what runs, a ``Workload`` (``base.py``)."""
    access: str = ""
    """``module:function`` that says who must be let in to what, besides what a scenario asks: from
    the options to an ``AccessSpec``. Empty: the workload asks nothing."""
    final_read_s: float = 30.0
    """For the final read of all nodes, in parallel: what takes longer is given up."""
    points: str = ""
    """``schema.table`` whose rows can name the point in time of a restore: each is one operation,
    and has its ``id`` and when it was ``written_at``. Empty: no restore can be asked for."""
    erase_again: str = ""
    """``module:function`` that does again, in a database that was restored and lets nobody in, what
    was erased for good and came back with the data: from a superuser's ``Session``, the options and
    the operations on record to the ids of those that it did again. Empty: nothing is erased."""
    checkers: tuple[str, ...] = ()
    """``module:name`` of each ``Checker`` that judges this workload alone, in the order of reports.
    """
    judge: str = ""
    """``module:function`` that judges the history of a run, for ``bascule judge``: from the ``Run``
    and a level (None: the one that is promised) to a ``HistoryAnswer``. Empty: there is none."""
    judged_as: str = ""
    """The model of ``chaos/consistency/models.py`` that it is judged as."""
    clients: tuple[ClientName, ...] = ("storage",)
    """What it can speak to."""
    shares_units: bool = False
    """Two sites send some of its units of work under one id (``shared.py``)."""


def read_isolation(table: TomlTable, default: IsolationName) -> IsolationName:
    """The level of every unit of work: ``isolation``."""
    return table.choice("isolation", get_args(IsolationName), default)


def draw_isolation(random: Random) -> IsolationName:
    """Each level as often."""
    level: IsolationName = random.choice(get_args(IsolationName))
    return level


def read_replica_reads(table: TomlTable, default: float) -> float:
    """Reads on the nearest member for each unit of work: ``replica_reads``."""
    return table.number("replica_reads", minimum=0.0, maximum=READS_SHARE_MAX, default=default)


def draw_replica_reads(random: Random, *, some: bool = False) -> float:
    """None or as many as units, fewer or more; with ``some`` never none."""
    return random.choice([share for share in READS_DRAWN if share or not some])
