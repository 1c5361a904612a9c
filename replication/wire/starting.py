"""Starts a connection of libpq, and finds out why one was refused.

The loop is psycopg's own (``generators._connect``), with two additions that it has no place for:
libpq is asked to be verbose before the first packet leaves, so that the SQLSTATE of a refusal is in
its message; and a start that failed without one is looked at, whether it was libpq that broke off
(it would again) or the server, or the network, that did.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import PQGenConn
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait

from replication.wire.errors import Refused
from replication.wire.refusals import Meaning, parse_start_failure, refusal_with

CLOSES_S = 0.25
"""A server closes within a millisecond of its last word; more on a busy machine."""

READ_BYTES = 4096

_DEFAULT, _VERBOSE = 1, 2
"""``PGVerbosity`` of libpq (libpq-fe.h): PQERRORS_DEFAULT, PQERRORS_VERBOSE."""


def start(conninfo: str) -> PQGenConn[PGconn]:
    """Connect without blocking.

    Raises:
        Refused: the server said why it does not take us, or libpq does not take the server.
        psycopg.OperationalError: there is no connection, and no reason was given.
    """
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    _set_verbosity(pgconn, _VERBOSE)
    while (status := _poll(pgconn)) != PollingStatus.OK:
        if status == PollingStatus.FAILED:
            try:
                raise (yield from _why(pgconn))
            finally:
                pgconn.finish()
        wait = Wait.R if status == PollingStatus.READING else Wait.W
        while not (yield pgconn.socket, wait):
            pass
    _set_verbosity(pgconn, _DEFAULT)
    pgconn.nonblocking = 1
    return pgconn


def _poll(pgconn: PGconn) -> int:
    return PollingStatus.FAILED if pgconn.status == ConnStatus.BAD else pgconn.connect_poll()


def _why(pgconn: PGconn) -> PQGenConn[psycopg.OperationalError]:
    sqlstate, words = parse_start_failure(pgconn.get_error_message())
    if sqlstate is not None:
        return Refused(refusal_with(sqlstate).meaning, sqlstate, words)
    if (yield from _stays_connected(pgconn)):
        # A proof that the server asks for and we do not give, a certificate that we do not trust,
        # encryption that it does not have, or words that are not PostgreSQL's.
        return Refused(Meaning.NOT_ADMITTED, None, words)
    return psycopg.OperationalError(words)


def _stays_connected(pgconn: PGconn) -> PQGenConn[bool]:
    """The other side does not close, so it was libpq that broke off: a server that refuses us
    closes right after its last word, and one that still waits for ours does not."""
    until_s = time.monotonic() + CLOSES_S
    while time.monotonic() < until_s:
        try:
            descriptor = pgconn.socket  # libpq closes it where it has lost the other side
            if (yield descriptor, Wait.R):
                with socket.socket(fileno=os.dup(descriptor)) as same:
                    if not same.recv(READ_BYTES, socket.MSG_DONTWAIT):
                        return False
        except BlockingIOError:
            continue
        except (OSError, psycopg.Error):
            return False
    return True


def _set_verbosity(pgconn: PGconn, verbosity: int) -> None:
    """Nothing is done where libpq cannot be reached: a refusal then has no SQLSTATE, and counts as
    a server that could not be connected to."""
    function = _verbosity_function()
    pointer = getattr(pgconn, "pgconn_ptr", None)
    if function is not None and pointer is not None:
        function(pointer, verbosity)


@cache
def _verbosity_function() -> Callable[[int, int], Any] | None:
    """``PQsetErrorVerbosity`` of the very libpq that psycopg uses, which has no wrapper for it.

    A symbol is looked for in a library and in what it was linked to, so the extension module of
    psycopg leads to its libpq, wherever that is; psycopg in Python has loaded it by itself.
    """
    library: ctypes.CDLL | None
    if pq.__impl__ == "python":
        library = getattr(sys.modules.get("psycopg.pq._pq_ctypes"), "pq", None)
    else:
        path = getattr(sys.modules.get(pq.PGconn.__module__), "__file__", None)
        library = None if path is None else ctypes.CDLL(path)
    function = getattr(library, "PQsetErrorVerbosity", None)
    if function is not None:
        function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int
    return function
