"""The bulk workload: each worker copies rows in chunks with the storage layer's bulk loader."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Self

from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from cluster.toml.reader import TomlTable


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions(WorkloadOptions):
    """What is copied."""

    chunk_rows: int = 512
    """Rows of one chunk, which is one operation."""

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        return cls(chunk_rows=table.integer("chunk_rows", cls().chunk_rows, minimum=1))

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Small chunks and large ones."""
        return cls(chunk_rows=random.choice((16, 128, 512)))


BULK = WorkloadKind(
    key="bulk",
    options=BulkOptions,
    # A chunk is some hundred rows: about as much work for the machine as 100 single entries.
    rate_per_s=4.0,
    limits="What is judged are rows that are copied in chunks, each chunk in one transaction. "
    "Nothing is said about other workloads.",
    load="chaos.workloads.bulk.load:Bulk",
    checkers=(
        "chaos.workloads.bulk.check_chunks:CHUNKS",
        "chaos.workloads.bulk.check_chunks:FINISHED",
    ),
    # A bulk load's chunks go on under its name in any process, and two sources under one name are
    # refused (``SourceChanged``), not left to chance.
    shares_units=False,
)
