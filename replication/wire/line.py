"""The socket under a connection, which any thread may cut at any time."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from psycopg.pq.abc import PGconn


class Line:
    """A second descriptor of a connection's socket.

    libpq's connections are not to be touched by two threads; sockets may be. It is a descriptor of
    its own, so that a cut never hits another socket that got the same number.
    """

    def __init__(self, pgconn: PGconn, node: str) -> None:
        self.node = node
        self.in_use = True
        """A transaction may be open on it."""
        self.is_cut = False
        """Nothing that is sent from now on arrives."""
        self._socket = socket.socket(fileno=os.dup(pgconn.socket))
        self._lock = threading.Lock()

    def cut(self) -> None:
        """What waits for the server finds the connection lost, at once."""
        with self._lock, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
            self.is_cut = True

    @property
    def is_closed(self) -> bool:
        """``close`` was called."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """The line is not needed any more; the connection stays open."""
        with self._lock:
            self._socket.close()
