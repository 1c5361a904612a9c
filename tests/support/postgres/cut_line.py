"""A line to a server that is cut at the worst moment: what was asked has been carried out, and the
answer does not arrive."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from replication import Member

CHUNK_BYTES = 65536


class CutLine:
    """Passes bytes on between clients and a server on 127.0.0.1, for as long as it is entered.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._marker: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        """How often it was cut."""

    def cut_at(self, marker: bytes) -> None:
        """Pass on what a client sends with ``marker`` in it, and cut its line in place of the
        server's next answer. Once."""
        self._marker = marker

    def run(self) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._server_port))
        is_armed = False
        with client, server, suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if not (data := ready.recv(CHUNK_BYTES)):
                        return
                    if ready is client:
                        if self._marker is not None and self._marker in data:
                            self._marker, is_armed = None, True
                        server.sendall(data)
                    elif is_armed:
                        self.cuts += 1
                        return
                    else:
                        client.sendall(data)


@contextmanager
def cut_line(port: int) -> Iterator[CutLine]:
    """A line to the server at ``port``."""
    line = CutLine(port)
    thread = threading.Thread(target=line.run)
    thread.start()
    try:
        yield line
    finally:
        line.close()
        thread.join()


def through(member: Member, line: CutLine) -> Member:
    """``member``, reached over ``line``."""
    return replace(member, port=line.port)
