"""The load that a drill reaches, and the memory it takes: ``python benchmarks/load.py``.

Runs the ``steady`` drill at several rates, and meanwhile adds up the proportional set size (PSS,
``/proc/PID/smaps_rollup``) of the command and everything below it, twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from figures import machine, spread, tell

SAMPLE_S = 0.5
MIB = 2**20


def pss_bytes(pid: int) -> int:
    """Of a process and its descendants; shared pages are counted once, in shares."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(OSError, IndexError, StopIteration):
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                total += 1024 * int(next(x for x in lines if x.startswith("Pss:")).split()[1])
    return total


def measure(rate_per_s: int, workers: int) -> dict[str, Any]:
    """One drill: rates and latencies per site, and the peak of memory."""
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        command = [sys.executable, "-m", "chaos", "drill", "steady"]
        command += ["--no-witness", "--json", "--quiet"]
        command += ["--rate", str(rate_per_s), "--workers", str(workers)]
        command += ["--out", str(Path(folder) / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            peak = 0
            while process.poll() is None:
                peak = max(peak, pss_bytes(process.pid))
                time.sleep(SAMPLE_S)
            assert process.stdout is not None
            verdict = json.loads(process.stdout.read())
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {"sites": verdict["sites"], "peak_bytes": peak, "run_folder_bytes": disk}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for rate_per_s, workers in ((100, 2), (200, 4), (1000, 8)):
        name = f"asked {rate_per_s}/s a site, {workers} workers"
        for number in range(options.runs):
            found.setdefault(name, []).append(measure(rate_per_s, workers))
            tell(f"{name}: run {number + 1} of {options.runs}")
    if options.json:
        print(json.dumps({"machine": machine(), "cases": found}, indent=2))
        return
    print(f"{machine()}, {os.getloadavg()[0]:.1f} load average")
    for name, runs in found.items():
        sites = [site for run in runs for site in run["sites"].values()]
        print(name)
        for label, key, unit in (
            ("acknowledged a site", "steady_rate_per_s", "/s"),
            ("latency p50", "p50_ms", "ms"),
            ("latency p99", "p99_ms", "ms"),
        ):
            print(f"  {label:20} {spread([site[key] for site in sites], unit, 1)}")
        print(f"  peak memory (PSS)    {spread([r['peak_bytes'] / MIB for r in runs], 'MiB', 0)}")


if __name__ == "__main__":
    main()
