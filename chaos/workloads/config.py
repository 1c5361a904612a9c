"""What a load process is asked to do: one line of JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from chaos.errors import FormatError
from chaos.evidence.decode import decode
from chaos.scenarios.model import Durability, WorkloadSpec
from replication import Durability as Promise
from replication import Member

DRAIN_S = 5.0


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
    history_path: Path
    drain_s: float = DRAIN_S
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)
    durability: Durability = "quorum"
    """The cluster's, which decides what an acknowledgement can promise."""

    @property
    def promise(self) -> Promise:
        """What every unit of work asks of the storage layer.

        A cluster that replicates asynchronously can promise no more than the primary's own disk.
        """
        return "local" if self.durability == "async" else "quorum"


def parse_config(text: str) -> LoadConfig:
    """The config from its JSON.

    Raises:
        ValueError: not JSON, a key too many or too few, or a value out of range.
    """
    try:
        document = json.loads(text)
        members = tuple(Member(**member) for member in document.pop("members"))
        path = Path(document.pop("history_path"))
        workload = decode(WorkloadSpec, document.pop("workload", {}), "workload")
        config = LoadConfig(members=members, history_path=path, workload=workload, **document)
    except (TypeError, AttributeError, KeyError, FormatError) as error:
        raise ValueError(f"the load's config is not as it should be: {error}") from error
    if config.rate_per_s <= 0 or config.workers < 1 or config.deadline_s <= 0:
        raise ValueError("rate_per_s and deadline_s must be above 0, workers at least 1")
    if config.durability not in get_args(Durability):
        raise ValueError(f"the load's config asks for the durability {config.durability!r}")
    return config
