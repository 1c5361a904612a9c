"""How a disk is told what is to be wrong with it: a Unix socket, one JSON object a line.

Requests: ``{"do": "strike", "fault": {...}}``, ``{"do": "mend", "name": ...}``, ``{"do": "sync"}``,
``{"do": "tear", "folder": ...}``, ``{"do": "look"}``. Answers: ``{"ok": true, ...}``, or
``{"ok": false, "error": ...}``.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from cluster.errors import ClusterError
from cluster.substrates.disk import DiskFault
from cluster.substrates.lab.disk.faulty import FaultyFolder
from cluster.substrates.lab.disk.pages import tear

ANSWER_BYTES_MAX = 65_536
ASK_TIMEOUT_S = 10.0
"""A sync of everything writes some hundred megabytes into memory: a second."""


class DiskServer:
    """The disk's side.

    Args:
        folder: what is controlled.
    """

    def __init__(self, folder: FaultyFolder) -> None:
        self._folder = folder
        self.mounted = threading.Event()
        """Set when the host sees the disk."""

    def serve(self, listener: socket.socket) -> None:
        """Answer one connection after another, for ever."""
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                    stream.flush()

    def _answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        try:
            return {"ok": True, **self._do(request)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": str(error) or type(error).__name__}

    def _do(self, request: Mapping[str, object]) -> Mapping[str, object]:
        match request:
            case {"do": "strike", "fault": dict(fault)}:
                self._folder.strike(DiskFault(**fault))
            case {"do": "mend", "name": str(name)}:
                self._folder.mend(name)
            case {"do": "sync"}:
                return {"files": self._folder.files.sync_all()}
            case {"do": "tear", "folder": str(folder)}:
                return {"torn": tear(self._folder.files, folder)}
            case {"do": "look"}:
                pass
            case _:
                raise ValueError(f"a disk does not know {request}")
        return {
            "mounted": self.mounted.is_set(),
            "faults": list(self._folder.faults),
            "pending_bytes": self._folder.files.pending_bytes(),
            "room_bytes": self._folder.room_bytes,
        }


def ask(control: Path, **request: object) -> Mapping[str, object]:
    """Ask a disk; blocks until it has answered.

    Raises:
        OSError: it does not listen (yet), or not in time.
        ClusterError: it could not do it; says why.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ASK_TIMEOUT_S)
        connection.connect(str(control))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline(ANSWER_BYTES_MAX)
    if not line:
        raise ConnectionResetError("the disk has ended")
    answer: dict[str, object] = json.loads(line)
    if not answer["ok"]:
        raise ClusterError(str(answer["error"]))
    return answer


def to_json(fault: DiskFault) -> Mapping[str, object]:
    """A fault for ``strike``."""
    return asdict(fault)
