"""What links between sites come to: delay, throughput, and the default load: ``python
benchmarks/wan.py``.

First without a cluster, in one lab: for each round trip asked, what TCP sees between hosts of two
sites (an echo of 100 bytes, again and again), and how much a stream carries. Then the ``steady``
drill on the default topology without delay and with 1 ms between all sites, side by side.

It ends with 1 when a median is more than 1 ms off what was asked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
from figures import drill, machine, spread, tell

from cluster.substrates.base import Process
from cluster.substrates.lab.console import open_console, socket_in
from cluster.substrates.lab.enter import run_sealed
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin, to_toml
from cluster.topology.wan import LinkQuality, Wan

Found = TypeVar("Found")

RTTS_MS = (0, 1, 2, 5, 10, 20, 50, 100)
OFF_MS_MAX = 1.0
ECHO_S = 3.0
"""For each delay: so long, or as many echoes as make sure of a median."""
ECHOES_MAX = 500
STREAM_S = 3.0
SOURCE, TARGET = "app-paris", "app-orsay"
LINK = ("paris", "orsay")
PORT = 7000
PROGRAM = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    echo = connection.recv(1) == b"e"
    while data := connection.recv(1 << 20):
        if echo:
            connection.sendall(data)
    connection.close()
"""


def connect(lab: Lab, kind: bytes) -> socket.socket:
    """To the server in the other site, which echoes (``e``) or swallows (``s``)."""
    connection = socket_in(SOURCE)
    connection.settimeout(30.0)
    connection.connect((lab.address(TARGET), PORT))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(kind)
    return connection


def echoes_ms(lab: Lab) -> list[float]:
    """Round trips."""
    found: list[float] = []
    end_s = time.perf_counter() + ECHO_S
    with connect(lab, b"e") as connection:
        while time.perf_counter() < end_s and len(found) < ECHOES_MAX:
            begin_s = time.perf_counter()
            connection.sendall(bytes(100))
            left = 100
            while left:
                left -= len(connection.recv(left))
            found.append(1000 * (time.perf_counter() - begin_s))
            time.sleep(0.002)
    return found


def stream_mbit(lab: Lab) -> float:
    """What one TCP connection carries, until the last byte has arrived."""
    chunk, sent = bytes(1 << 18), 0
    begin_s = time.perf_counter()
    with connect(lab, b"s") as connection:
        while time.perf_counter() < begin_s + STREAM_S:
            sent += connection.send(chunk)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return sent * 8 / (time.perf_counter() - begin_s) / 1e6


def relay_cpu_s() -> float:
    """What the relay of this lab has computed for so far; 0 without one."""
    for path in Path("/proc").glob("[0-9]*"):
        if b"wan_relay.py" in (path / "cmdline").read_bytes():
            ticks = (path / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
            return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def in_thread(work: Callable[[Lab], Found], lab: Lab) -> Found:
    """The lab must go on meanwhile."""
    return await anyio.to_thread.run_sync(work, lab)


async def measure(folder: Path) -> None:
    """Inside a lab: every delay, one after the other."""
    rows = []
    async with Lab(load_builtin("three-sites"), logs=folder, on_exit=lambda end: None) as lab:
        argv = (sys.executable, "-c", PROGRAM, str(PORT))
        await lab.start_unit(TARGET, Process(name="server", argv=argv))
        with anyio.fail_after(10.0):
            while True:
                try:
                    await (await open_console(TARGET, PORT)).aclose()
                except OSError:
                    await anyio.sleep(0.02)
                else:
                    break
        for rtt_ms in RTTS_MS:
            more = LinkQuality(rtt_ms=rtt_ms)
            await lab.disturb_links([LINK], more)
            found = sorted(await in_thread(echoes_ms, lab))
            begin_s, before_s = time.perf_counter(), relay_cpu_s()
            mbit = await in_thread(stream_mbit, lab)
            share = (relay_cpu_s() - before_s) / (time.perf_counter() - begin_s)
            rows.append(
                {
                    "asked_ms": rtt_ms,
                    "median_ms": statistics.median(found),
                    "p95_ms": found[round(0.95 * (len(found) - 1))],
                    "echoes": len(found),
                    "mbit_per_s": mbit,
                    "relay_cores": share,
                }
            )
            await lab.restore_links([LINK], more)
    (folder / "rows.json").write_text(json.dumps(rows))


def delays() -> list[dict[str, float]]:
    """A line for each round trip asked."""
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        code, _ = run_sealed([sys.executable, __file__, "--inside", folder])
        if code != 0:
            sys.exit(f"the lab ended with {code}")
        return list(json.loads((Path(folder) / "rows.json").read_text()))


def load(rtt_ms: float) -> dict[str, Any]:
    """One ``steady`` drill: figures of its sites, and the processor time of everything in it."""
    topology = load_builtin("three-sites").with_settings(witness=False)
    topology = replace(topology, wan=Wan(default=LinkQuality(rtt_ms=rtt_ms)))
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        path = Path(folder) / "topology.toml"
        path.write_text(to_toml(topology), encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        verdict = drill("steady", "--topology", str(path), "--seed", "7")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"verdict": verdict["verdict"], "sites": verdict["sites"], "cpu_s": cpu_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="drills with and without, each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        anyio.run(measure, options.inside)
        return
    rows = delays()
    loads: dict[float, list[dict[str, Any]]] = {0.0: [], 1.0: []}
    for number in range(options.runs):
        for rtt_ms, runs in loads.items():
            runs.append(load(rtt_ms))
            tell(f"steady at {rtt_ms:g} ms, {number + 1} of {options.runs}: {runs[-1]['verdict']}")
    if options.json:
        print(json.dumps({"machine": machine(), "delays": rows, "loads": loads}, indent=2))
    else:
        print(f"{machine()}\n")
        show_delays(rows)
        show_loads(loads)
    off = [row["asked_ms"] for row in rows if row["median_ms"] - row["asked_ms"] > OFF_MS_MAX]
    if off:
        sys.exit(f"more than {OFF_MS_MAX:g} ms off: {', '.join(f'{ms:g} ms' for ms in off)}")


def show_delays(rows: list[dict[str, float]]) -> None:
    """A table; the first line is the bridge."""
    print("| round trip asked | median | p95 | one stream | processors of the relay |")
    print("|---|---|---|---|---|")
    for row in rows:
        asked = f"{row['asked_ms']:g} ms" if row["asked_ms"] else "none (bridge)"
        print(
            f"| {asked} | {row['median_ms']:.2f} ms | {row['p95_ms']:.2f} ms |"
            f" {row['mbit_per_s']:,.0f} Mbit/s | {row['relay_cores']:.2f} |"
        )


def show_loads(loads: dict[float, list[dict[str, Any]]]) -> None:
    """The default load, without and with."""
    for rtt_ms, runs in loads.items():
        sites = [site for run in runs for site in run["sites"].values()]
        print(f"\ndefault load, {rtt_ms:g} ms: {', '.join(run['verdict'] for run in runs)}")
        for label, key, unit in (
            ("acknowledged a site", "steady_rate_per_s", "/s"),
            ("latency p50", "p50_ms", "ms"),
            ("latency p99", "p99_ms", "ms"),
        ):
            print(f"  {label:20} {spread([site[key] for site in sites], unit, 1)}")
        print(f"  processor time       {spread([run['cpu_s'] for run in runs], 's', 1)}")


if __name__ == "__main__":
    main()
