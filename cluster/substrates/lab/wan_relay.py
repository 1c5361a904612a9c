"""The WAN in user space: passes frames on between the sites' routers, late, lost, and at a rate.

Run by a bare interpreter (``python -I -S``) in the lab's namespace ``wan``, so it imports only the
standard library. It takes the place of the bridge there: one process for all links, with a packet
socket on each router's cable (packet(7)). The last byte of a frame's destination address is the
number of the site that it goes to (``network.wan_address``). A frame that has to wait lies in a
queue ordered by the moments at which frames are due. It waits in ``select``, which sleeps to the
microsecond; ``epoll`` does so only to the millisecond.

Frames carry the kernel's notes on them (PACKET_VNET_HDR: which checksum is still to be computed,
and into what segments to cut), so a burst of TCP crosses as one frame of up to 64 KiB, which costs
as much as a small one. Where frames are lost or a rate is set, the routers cut them before
(``network.plan_whole_frames``): then each packet has its own fate.

Standard input, one JSON object a line; its end ends the relay, which passes on what it still has:
    {"ways": [[from, to, delay_s, jitter_s, loss, bytes_per_s], ...]}   loss: 0 to 1; rate: or null
Standard output, one JSON object a line: the answer, with what was counted since the start:
    {"frames", "lost", "overflowed", "refused"}
"""

import contextlib
import ctypes
import gc
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

ETH_P_IP = 0x0800
SOL_PACKET = 263
PACKET_VNET_HDR = 15
"""linux/if_packet.h. Bound to ETH_P_IP a socket gets what arrives, and not what it sends itself
(``dev_queue_xmit_nit`` serves only those of ETH_P_ALL)."""
SO_TIMESTAMPNS = 35
"""The kernel notes when each frame arrived (asm-generic/socket.h): the delay counts from there, and
not from when this process was given a processor."""
TIMESTAMP = struct.Struct("@ll")
"""``struct timespec``."""
NOTE_BYTES = socket.CMSG_SPACE(TIMESTAMP.size)
NOTES_BYTES = 10
"""``struct virtio_net_hdr``: before each frame."""
TO_SITE = NOTES_BYTES + 5
"""Where the last byte of the destination address is."""
FRAME_BYTES_MAX = NOTES_BYTES + 18 + 65536
HEADERS_BYTES = NOTES_BYTES + 14
"""What of a frame does not count as load of the link: the notes, and Ethernet's header."""
BURST = 64
"""Frames taken from one socket before the others have their turn."""
RECEIVE_BUFFER_BYTES = 4 << 20
"""As far as the machine allows it (net.core.rmem_max): what arrives while this process waits for a
processor is not to be lost."""
QUEUE_S = 0.25
"""What a link with a rate queues before it drops: the rule of thumb for buffers of routers, one
round trip of 250 ms at the full rate (Appenzeller, Keslassy, McKeown: Sizing Router Buffers,
SIGCOMM 2004)."""
QUEUE_BYTES_MIN = 64 << 10
"""A slow link still takes a burst."""
TIMER_SLACK_NS = 1000
"""The kernel adds up to 50 us to every sleep (prctl(2), PR_SET_TIMERSLACK)."""


SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The numbers of the system call; the C library has no name for it before glibc 2.41."""
SCHED_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""``struct sched_attr``: size, policy (0: normal), flags, nice, priority, runtime, deadline and
period; the runtime of a normal task is the length of its turns."""
SLICE_NS = 100_000
"""The shortest that there is."""


class Passage:
    """One direction of a link: how long a frame takes, and whether it arrives. Pure but for chance.

    Frames never overtake each other: a stream that is reordered all the time is no WAN, and TCP
    would take it for loss.

    Args:
        delay_s: from the sender to the receiver.
        jitter_s: the delay varies by up to so much, to both sides, evenly.
        loss: the share of frames that vanish, 0 to 1.
        bytes_per_s: what the link carries; None: no limit.
        chance: evenly from 0 to 1.
    """

    __slots__ = ("_chance", "_delay_s", "_free_s", "_jitter_s", "_last_s", "_loss", "_rate")

    def __init__(
        self,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        bytes_per_s: "float | None" = None,
        chance: "Callable[[], float]" = random.random,
    ) -> None:
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._loss = loss
        self._rate = bytes_per_s
        self._chance = chance
        self._free_s = 0.0
        self._last_s = 0.0

    def is_lost(self) -> bool:
        """Whether the next frame vanishes."""
        return self._loss > 0.0 and self._chance() < self._loss

    def due_s(self, now_s: float, size_bytes: int) -> "float | None":
        """When a frame that is sent now arrives; None: the queue is full, and it is dropped."""
        sent_s = now_s
        if self._rate is not None:
            begin_s = max(now_s, self._free_s)
            queued = (begin_s - now_s) * self._rate
            if queued > max(QUEUE_BYTES_MIN, QUEUE_S * self._rate):
                return None
            self._free_s = sent_s = begin_s + size_bytes / self._rate
        due_s = sent_s + self._delay_s
        if self._jitter_s > 0.0:
            due_s = max(now_s, due_s + self._jitter_s * (2.0 * self._chance() - 1.0))
        self._last_s = due_s = max(due_s, self._last_s)
        return due_s


class Relay:
    """Every link between sites.

    Args:
        sites: the sites' numbers; the cable of number 3 ends at the interface ``site3``.
    """

    def __init__(self, sites: "list[int]") -> None:
        self._sockets = {site: open_cable(f"site{site}") for site in sites}
        self._site_of = {one.fileno(): site for site, one in self._sockets.items()}
        self._ways: dict[tuple[int, int], Passage] = {}
        self._waiting: list[tuple[float, int, socket.socket, bytes]] = []
        self._number = 0
        self._lost = self._overflowed = self._refused = 0
        self._buffer = memoryview(bytearray(FRAME_BYTES_MAX))
        self._pending = b""

    def run(self) -> None:
        """Pass frames on until standard input ends."""
        watched = [0, *self._site_of]
        while True:
            now_s = time.monotonic()
            self._deliver(now_s)
            wait_s = max(0.0, self._waiting[0][0] - now_s) if self._waiting else None
            for fd in select.select(watched, (), (), wait_s)[0]:
                if fd:
                    self._take(self._site_of[fd])
                elif not self._obey():
                    self._deliver(float("inf"))
                    return

    def _deliver(self, now_s: float) -> None:
        """Pass on what is due."""
        waiting, pop = self._waiting, heapq.heappop
        while waiting and waiting[0][0] <= now_s:
            _, _, cable, frame = pop(waiting)
            try:
                cable.send(frame)
            except OSError:  # the cable is down, or its queue is full: a router drops it too
                self._refused += 1

    def _take(self, site: int) -> None:
        """Take in what has arrived from a site."""
        receive, buffer, ways = self._sockets[site].recvmsg_into, self._buffer, self._ways
        since_s = time.monotonic() - time.time()
        for _ in range(BURST):
            try:
                size, notes, _, _ = receive([buffer], NOTE_BYTES)
            except BlockingIOError:
                return
            except OSError:  # the cable went down; it is reported once
                return
            to = buffer[TO_SITE]
            way = ways.get((site, to))
            if way is None:
                continue
            self._number += 1
            if way.is_lost():
                self._lost += 1
                continue
            arrived_s = since_s + arrival_s(notes)
            due_s = way.due_s(arrived_s, size - HEADERS_BYTES)
            if due_s is None:
                self._overflowed += 1
                continue
            frame = bytes(buffer[:size])
            heapq.heappush(self._waiting, (due_s, self._number, self._sockets[to], frame))

    def _obey(self) -> bool:
        """Read what is asked; False at the end of standard input."""
        data = os.read(0, 1 << 16)
        if not data:
            return False
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._ways = dict(ways_of(json.loads(line)["ways"]))
            tell(
                frames=self._number,
                lost=self._lost,
                overflowed=self._overflowed,
                refused=self._refused,
            )
        return True


def ways_of(rows: "list[list[Any]]") -> "Iterator[tuple[tuple[int, int], Passage]]":
    """The directions that a request names, by the numbers of their two sites."""
    for from_, to, *quality in rows:
        yield (from_, to), Passage(*quality)


def arrival_s(notes: "list[tuple[int, int, bytes]]") -> float:
    """When the kernel had the frame, by the real-time clock; now, if it does not say."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESTAMP.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def open_cable(interface: str) -> socket.socket:
    """A packet socket on an interface, that keeps the kernel's notes on each frame."""
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    cable.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    cable.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    cable.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    cable.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BUFFER_BYTES)
    cable.setblocking(False)
    cable.bind((interface, ETH_P_IP))
    return cable


def sharpen_timer() -> None:
    """Have the kernel wake us on time, where it lets us."""
    path = "/proc/self/timerslack_ns"
    with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as slack:
        slack.write(str(TIMER_SLACK_NS))


def ask_for_short_slices() -> None:
    """Have the scheduler wake us before others that want to compute for long.

    From Linux 6.12 on a task may ask for the length of its turns without any privilege, and one
    with shorter turns preempts when it wakes (sched_setattr(2); ``PREEMPT_SHORT`` in
    kernel/sched/features.h). Older kernels ignore it. Where the processors are busy, it is the
    difference between a fraction of a millisecond and ten.
    """
    number = SCHED_SETATTR.get(os.uname().machine)
    if number is not None:
        attributes = SCHED_ATTRIBUTES.pack(SCHED_ATTRIBUTES.size, 0, 0, 0, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


def tell(**answer: object) -> None:
    """Answer the director."""
    os.write(1, json.dumps(answer).encode() + b"\n")


def main() -> None:
    relay = Relay([int(site) for site in sys.argv[1:]])
    sharpen_timer()
    ask_for_short_slices()
    gc.disable()  # nothing here makes cycles, and a collection would hold every frame up
    relay.run()


if __name__ == "__main__":
    main()
