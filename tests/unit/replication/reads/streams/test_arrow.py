"""The form of a stream's batches that needs an extra, and the key of a page's last row."""

from __future__ import annotations

import subprocess
import sys

from replication.reads.streams.arrow import last_key
from replication.reads.streams.columns import asked_of
from replication.wire import Column


def test_the_package_does_without_pyarrow_until_a_stream_asks_for_it() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import replication\n"
        "assert 'numpy' not in sys.modules\n"
        "from replication.reads.streams.arrow import RecordBatches\n"
        "try: RecordBatches()\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == (
        "Arrow record batches need pyarrow: install bascule[arrow]"
    )


def test_a_key_is_what_postgresql_writes_whatever_its_column_is_read_as() -> None:
    columns = tuple(
        Column(name=name, type_oid=oid, modifier=-1)
        for name, oid in (("id", 20), ("day", 1082), ("ward", 25), ("cost", 1700), ("n", 21))
    )
    asked = asked_of(columns, ("n", "day", "ward", "cost", "id"))
    assert (asked.as_text, asked.added) == (frozenset({3}), (1,))
    fields: list[bytes | None] = [
        b"\xff" * 8,
        b"\0\0\0\1",
        "é".encode(),
        b"1.50",
        b"\x80\0",
        b"2000-01-02",
    ]
    key = ("n", "day", "ward", "cost", "id")
    assert last_key(fields, asked, columns, key) == ("-32768", "2000-01-02", "é", "1.50", "-1")
    fields[0] = None
    assert last_key(fields, asked, columns, ("id",)) == (None,)
    assert last_key([], asked, columns, key) == ()
