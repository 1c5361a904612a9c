"""Test packets between the lab's hosts: whether they arrive is what proves a cut, and its end.

A probe is a UDP packet from the network of one host to that of another; it takes the way of all
packets. Sockets outlive the power of a host, as its network namespace does.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from cluster.substrates.base import PacketProbe
from cluster.substrates.lab.console import socket_in

BURST = 32
"""Packets of a probe at a time: a receiver's buffer holds some 200 of them (``rmem_default``)."""


def count_arrivals(
    probes: Sequence[PacketProbe], address: Callable[[str], str], timeout_s: float
) -> tuple[int, ...]:
    """Send every probe and count what arrives. Blocks: call it in a thread.

    Args:
        probes: what to send.
        address: of a host.
        timeout_s: how long to wait for what was sent last.

    Returns:
        For each probe how many of its packets arrived.

    Raises:
        OSError: a receiver has no place: the port is in use, or there are too many open files.
    """
    with ExitStack() as opened:
        receivers = _receivers(probes, opened)
        poll = select.poll()
        by_number = {}
        for receiver in receivers.values():
            poll.register(receiver, select.POLLIN)
            by_number[receiver.fileno()] = receiver
        arrived: Counter[int] = Counter()

        def take(wait_ms: float) -> bool:
            ready = poll.poll(wait_ms)
            for number, _ in ready:
                with suppress(BlockingIOError):
                    while True:
                        arrived[int(by_number[number].recv(64))] += 1
            return bool(ready)

        for index, probe in enumerate(probes):
            with socket_in(probe.source, socket.SOCK_DGRAM) as sender:
                port = receivers[probe.target, probe.port].getsockname()[1]
                for sent in range(probe.packets):
                    with suppress(OSError):  # without a link nothing is sent
                        sender.sendto(str(index).encode(), (address(probe.target), port))
                    if sent % BURST == BURST - 1:
                        take(0)
            take(0)
        wanted = sum(probe.packets for probe in probes)
        end_s = time.monotonic() + timeout_s
        while arrived.total() < wanted and (left_s := end_s - time.monotonic()) > 0:
            take(left_s * 1000)
    return tuple(arrived[index] for index in range(len(probes)))


def _receivers(
    probes: Sequence[PacketProbe], opened: ExitStack
) -> dict[tuple[str, int], socket.socket]:
    """One receiver for each host and port that a probe goes to."""
    found: dict[tuple[str, int], socket.socket] = {}
    for probe in probes:
        key = probe.target, probe.port
        if key not in found:
            found[key] = opened.enter_context(socket_in(probe.target, socket.SOCK_DGRAM))
            found[key].bind(("0.0.0.0", probe.port))
    return found
