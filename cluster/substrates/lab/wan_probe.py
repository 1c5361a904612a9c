"""Measures round trips from a site's router: ICMP echoes (RFC 792) that the other routers answer.

Run by a bare interpreter (``python -I -S``) in the router's namespace, so it imports only the
standard library. It shares nothing with the relay that it measures: each kernel answers for itself.

Usage: wan_probe.py COUNT EVERY_S WAIT_S ADDRESS ...
Standard output, one JSON object: for each address the round trips that came back, in milliseconds.
"""

import json
import os
import select
import socket
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ECHO_REQUEST = 8
ECHO_REPLY = 0
HEADER = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number."""
IP_HEADER_BYTES = 20
"""A raw socket gets it too (raw(7)); the kernel's answers have no options."""
SO_TIMESTAMPNS = 35
"""The kernel notes when each packet arrived (asm-generic/socket.h): that this process was woken
late is no property of the link."""
TIMESTAMP = struct.Struct("@ll")
"""``struct timespec``."""
PADDING = bytes(48)
"""An echo of 56 bytes, as ping(8) sends."""


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def request(identifier: int, number: int) -> bytes:
    """An echo request."""
    blank = HEADER.pack(ECHO_REQUEST, 0, 0, identifier, number) + PADDING
    summed = HEADER.pack(ECHO_REQUEST, 0, checksum(blank), identifier, number)
    return summed + PADDING


def measure(
    count: int, every_s: float, wait_s: float, addresses: "Sequence[str]"
) -> "dict[str, list[float]]":
    """Send ``count`` echoes to each address, one every ``every_s`` seconds; wait for the last ones
    for ``wait_s``; the round trips in milliseconds."""
    identifier = os.getpid() & 0xFFFF
    found: dict[str, list[float]] = {address: [] for address in addresses}
    sent_s: dict[int, tuple[str, float]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        begin_s = time.perf_counter()
        end_s = begin_s + (count - 1) * every_s + wait_s
        for turn in range(count):
            for address in addresses:
                number = len(sent_s)
                sent_s[number] = (address, time.time())
                icmp.sendto(request(identifier, number), (address, 0))
            is_last = turn == count - 1
            until_s = end_s if is_last else begin_s + (turn + 1) * every_s
            while under_way(sent_s, found) and (left_s := until_s - time.perf_counter()) > 0:
                if not select.select([icmp], (), (), left_s)[0]:
                    break
                data, notes, _, (address, _) = icmp.recvmsg(2048, 64)
                arrived_s = arrival_s(notes)
                kind, _, _, whose, number = HEADER.unpack_from(data, IP_HEADER_BYTES)
                if kind == ECHO_REPLY and whose == identifier and sent_s[number][0] == address:
                    found[address].append(round(1000 * (arrived_s - sent_s[number][1]), 3))
            if not is_last:
                time.sleep(max(0.0, until_s - time.perf_counter()))
    return found


def arrival_s(notes: "list[tuple[int, int, bytes]]") -> float:
    """When the kernel had the packet, by the real-time clock; now, if it does not say."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESTAMP.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def under_way(sent: "dict[int, tuple[str, float]]", found: "dict[str, list[float]]") -> int:
    """How many are still under way."""
    return len(sent) - sum(len(one) for one in found.values())


if __name__ == "__main__":
    count, every_s, wait_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(measure(count, every_s, wait_s, sys.argv[4:])))
