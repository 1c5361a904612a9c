"""Where Prometheus finds a drill: listeners, made outside of the sites and inherited by the inside.

A socket belongs to the network namespace in which it was made: so this machine reaches a drill in
sealed namespaces, and no packet of the drill gets out.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from chaos.errors import ListenError

LOOPBACK = "127.0.0.1"
BRIDGE = "docker0"
"""Docker's own bridge: containers reach this machine by its address, under the name
``host.docker.internal`` (Docker manual, "docker container run", --add-host, host-gateway)."""
BACKLOG = 16
DRAWS = 10
"""Of a free port: that one is taken at Docker's bridge alone is rare, and ten are never."""
PORT_MAX = 65535

_PLACE = re.compile(r"(?:(?:\[(?P<host6>[^\]]+)\]|(?P<host>[^:\[\]]+)):)?(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenPlace:
    """A port, and the address that it is on; None: the loopback, and Docker's bridge if there."""

    port: int
    host: str | None = None


def parse_place(text: str) -> ListenPlace:
    """``PORT`` or ``HOST:PORT``; port 0 draws a free one.

    Raises:
        ValueError: it is neither.
    """
    found = _PLACE.fullmatch(text.strip())
    if found is None or int(found["port"]) > PORT_MAX:
        raise ValueError(f"{text!r} is not PORT or HOST:PORT, as in 9188 or 10.0.0.5:9188")
    return ListenPlace(port=int(found["port"]), host=found["host6"] or found["host"])


@contextmanager
def listening(place: ListenPlace | None) -> Iterator[tuple[socket.socket, ...]]:
    """Listeners of a place, closed at the end of the block; none for None.

    Raises:
        ListenError: the address cannot be listened on; the error names it.
    """
    if place is None:
        yield ()
        return
    hosts = (place.host,) if place.host is not None else (LOOPBACK, *bridge_addresses())
    with ExitStack() as held:
        yield _listen(hosts, place.port, held, draws=DRAWS if place.port == 0 else 1)


def _listen(
    hosts: Sequence[str], port: int, held: ExitStack, *, draws: int
) -> tuple[socket.socket, ...]:
    """A listener a host, all at one port; one that was drawn may be taken at another host."""
    with ExitStack() as attempt:
        made: list[socket.socket] = []
        try:
            for host in hosts:
                at = made[0].getsockname()[1] if made else port
                made.append(attempt.enter_context(_listener(host, at)))
        except ListenError:
            if not made or draws == 1:
                raise
        else:
            held.push(attempt.pop_all())
            return tuple(made)
    return _listen(hosts, port, held, draws=draws - 1)


def authority(host: str, port: int) -> str:
    """``HOST:PORT``, as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bridge_addresses() -> tuple[str, ...]:
    """The addresses at which containers reach this machine; empty without a Docker bridge."""
    found = psutil.net_if_addrs().get(BRIDGE, [])
    return tuple(one.address for one in found if one.family == socket.AF_INET)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = authority(host, port)
        if isinstance(error, socket.gaierror):
            raise ListenError(f"--metrics {where}: there is no such host") from error
        words = f"--metrics: nobody can listen on {where}: {os.strerror(error.errno or 0)}"
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            words += "; choose another port, or 0 for a free one"
        raise ListenError(words) from error
