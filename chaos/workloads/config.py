"""What a load process is asked to do: one line of JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Self

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.kind import ClientName
from chaos.workloads.shared import SHARED_EVERY_MIN
from cluster.topology.settings import SyncMode
from replication import Durability, Member

DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyDoor:
    """A proxy that leads to the primary and to the replicas."""

    site: str
    host: str
    """Its name or address."""
    primary_port: int
    primary_dbname: str
    replicas_port: int
    replicas_dbname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """What the drill sends; ``password`` is in no repr."""

    site: str
    members: tuple[Member, ...]
    user: str
    password: str = field(repr=False)
    dbname: str
    rate_per_s: float
    workers: int
    seed: int
    deadline_s: float
    history_path: str
    drain_s: float = DRAIN_S
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
    durability: SyncMode = "quorum"
    """The cluster's, which decides what an acknowledgement can promise."""
    sites: tuple[str, ...] = ()
    """Every site that has load, this one included, in the same order for all of them."""
    shared_every: int = 0
    """A worker shares one slot in this many with another site (``shared``); 0: none."""
    reads_per_s: float = 0.0
    """Reads of marks beside the workload (``chaos/load/reads.py``), all kinds together; 0: none."""
    client: ClientName = "storage"
    """What the workload speaks to."""
    reads_path: str | None = None
    """Where what was read is written down; None where nothing is read."""

    doors: tuple[ProxyDoor, ...] = ()
    """The proxies that plain psycopg goes through; none: straight to the members."""
    direct_path: str | None = None
    """Where it is written down how writes end that go straight to the members, beside a load that
    goes through a proxy; None: there are no such writes."""

    @property
    def promise(self) -> Durability:
        """What every unit of work asks of the storage layer.

        A cluster that replicates asynchronously can promise no more than the primary's own disk.
        """
        return "local" if self.durability == "async" else "quorum"

    def to_line(self) -> str:
        """The line of JSON that the process reads."""
        return f"{json.dumps(encode(self))}\n"

    @classmethod
    def from_line(cls, text: str) -> Self:
        """The inverse of ``to_line``.

        Raises:
            ValueError: not JSON, a key too many or too few, or a value out of range.
        """
        try:
            config = decode(cls, json.loads(text))
        except FormatError as error:
            raise ValueError(f"the load's config is not as it should be: {error}") from error
        if config.rate_per_s <= 0 or config.workers < 1 or config.deadline_s <= 0:
            raise ValueError("rate_per_s and deadline_s must be above 0, workers at least 1")
        if config.reads_per_s < 0 or (config.reads_per_s > 0) != (config.reads_path is not None):
            raise ValueError(
                "the load's config: reads_per_s must be 0 without a reads_path, above 0 with one"
            )
        if (config.doors or config.direct_path) and config.client != "psycopg":
            raise ValueError("the load's config: only plain psycopg goes through a proxy")
        if config.shared_every and (
            config.shared_every < SHARED_EVERY_MIN or config.site not in config.sites
        ):
            raise ValueError(
                f"the load's config: shared_every must be 0 or at least {SHARED_EVERY_MIN}, and"
                f" {config.site} one of sites"
            )
        return config
