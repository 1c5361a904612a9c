"""Bulk loads: COPY in chunks that apply exactly once, and go on where they stopped.

Each chunk is one unit of work: its COPY, its row in the ledger ``bascule.bulk_chunk`` and its id
row commit together. The id row makes it exactly once, through failovers and for any number of
processes that run the same load; the ledger says where to go on.
"""

from replication.bulk.encoded import EncodedChunk
from replication.bulk.errors import BulkError, ChunkRefused, SourceChanged, SourceUnreadable
from replication.bulk.files import FileFormat
from replication.bulk.load import BulkLoad
from replication.bulk.model import AppliedChunk, Loaded, OnProgress, Progress

__all__ = [
    "AppliedChunk",
    "BulkError",
    "BulkLoad",
    "ChunkRefused",
    "EncodedChunk",
    "FileFormat",
    "Loaded",
    "OnProgress",
    "Progress",
    "SourceChanged",
    "SourceUnreadable",
]
