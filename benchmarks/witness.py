"""How long the service is gone with witnesses and without: ``python benchmarks/witness.py``.

Runs each drill several times, for real, at Patroni's defaults (ttl 30, loop_wait 10, retry_timeout
10), with witnesses and as stock in turn, and shows the median, the range and the phases of what
``verdict.json`` says. The RTO of a site that was cut off or lost is that of the other sites.

Beside it, from the logs and histories of each run: how long after the new primary accepts
connections (PostgreSQL's own word) each site had its first write acknowledged.

``--substrate compose`` runs them in containers.

``--append FILE`` keeps each run as it ends, as a line of JSON, and ``--show FILE`` prints the table
of such files: a long series may be cut into pieces.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import drill, machine, spread, tell

from chaos.evidence.events import FaultStruck
from chaos.evidence.folder import read_run
from chaos.evidence.run import Run
from chaos.wording import counted
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import load_builtin, to_toml

DEFAULTS = ("--ttl", "30", "--loop-wait", "10", "--retry-timeout", "10")
CASES = ("host-loss", "process-crash", "site-cut", "site-loss", "switchover")
"""Scenarios on the topology ``three-sites``."""
KINDS = ("stock", "witness", "ungated")
"""Patroni alone; with witnesses and the gate; with witnesses alone."""
READY = "database system is ready to accept connections"


def topology_of(kind: str, folder: Path) -> Path:
    """``three-sites`` of a kind, as a file."""
    plain = load_builtin("three-sites")
    settings = replace(plain.cluster, witness=kind != "stock", witness_gate=kind != "ungated")
    path = folder / f"{kind}.toml"
    path.write_text(to_toml(replace(plain, cluster=settings)), encoding="utf-8")
    return path


def one_run(name: str, kind: str, rate: str, odd: Path | None, *, substrate: str) -> dict[str, Any]:
    """A drill: its verdict, with ``rerouted_s`` by site. The folder of a run that is not VALID is
    kept in ``odd``.

    Raises:
        RuntimeError: it did not run.
    """
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as at:
        folder = Path(at)
        topology = topology_of(kind, folder)
        where = ("--topology", str(topology), "--substrate", substrate)
        options = (*where, *DEFAULTS, "--rate", rate)
        run = drill(name, *options, out=folder / "run")
        run["rerouted_s"] = rerouted_s(read_run(folder / "run"), folder / "run" / "logs")
        if odd is not None and run["verdict"] != "valid":
            shutil.copytree(folder / "run", odd / f"{name}-{kind}-{run['seed']}", symlinks=True)
    return run


def rerouted_s(run: Run, logs: Path) -> dict[str, float]:
    """By site, from the moment when the new primary accepts to its first acknowledged write there;
    empty where nobody was replaced."""
    faults = run.events_of(FaultStruck)
    if not faults:
        return {}
    began_s = faults[0].t_s
    accepted = {
        node: [at for at in _ready_s(run, logs / f"{node}.patroni.log") if at > began_s]
        for node in run.info.nodes
    }
    new = [(times[0], node) for node, times in accepted.items() if times]
    if not new:
        return {}
    accepted_s, node = min(new)
    found = {}
    for history in run.histories:
        if history.site == faults[0].target:
            continue  # it was lost itself
        ended = [
            one.ended_s
            for one in history.operations
            if one.outcome == "ok" and one.node == node and one.ended_s is not None
        ]
        later = [at for at in ended if at > accepted_s]
        if later and len(later) == len(ended):  # it led for the first time
            found[history.site] = min(later) - accepted_s
    return found


def _ready_s(run: Run, log: Path) -> Iterator[float]:
    """When a server said that it takes writes, on the clock of the run's events."""
    began = datetime.fromisoformat(run.info.started_at)
    if not log.exists():
        return
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if READY in line:
            at = datetime.fromisoformat(" ".join(line.split()[:2])).replace(tzinfo=UTC)
            yield run.info.started_t_s + (at - began).total_seconds()


def show(name: str, kind: str, runs: Sequence[dict[str, Any]]) -> None:
    """One scenario, of one kind."""
    verdicts = Counter(run["verdict"] for run in runs)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    print(f"{name}, {kind}: {counted(len(runs), 'run', 'runs')}, {told}")
    lost = sum(run["lost"] or 0 for run in runs)
    acknowledged = sum(run["acknowledged"] for run in runs)
    runs = [run for run in runs if run["verdict"] != "unknown"]  # this machine itself stood still
    print(f"  RTO                          {spread([r['rto_s'] for r in runs if r['rto_s']], 's')}")
    phases: dict[str, list[float]] = {}
    for run in runs:
        for phase, took_s in run["rto_phases_s"].items():
            phases.setdefault(phase, []).append(took_s)
    for phase, values in phases.items():
        print(f"    {phase:26} {spread(values, 's')}")
    rerouted = sorted(took_s for run in runs for took_s in run["rerouted_s"].values())
    if len(rerouted) > 1:
        cuts = statistics.quantiles(rerouted, n=100, method="inclusive")
        print(
            f"  accepts to acknowledged      p50 {cuts[49]:.3f}, p90 {cuts[89]:.3f},"
            f" p99 {cuts[98]:.3f}, worst {rerouted[-1]:.3f} s ({len(rerouted)} sites)"
        )
    print(f"  acknowledged, lost           {acknowledged}, {lost}")


def show_all(lines: Sequence[dict[str, Any]]) -> None:
    """The table of runs, as ``--append`` keeps them."""
    for name in CASES:
        for kind in KINDS:
            runs = [one["run"] for one in lines if (one["case"], one["kind"]) == (name, kind)]
            if runs:
                show(name, kind, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=CASES, help="this scenario")
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="[default: stock and witness]"
    )
    parser.add_argument("--substrate", choices=SUBSTRATES, default="lab")
    parser.add_argument("--rate", default="100", help="operations a second and site")
    parser.add_argument("--append", type=Path, metavar="FILE", help="keep each run there")
    parser.add_argument("--show", type=Path, nargs="+", metavar="FILE", help="run nothing")
    parser.add_argument("--odd", type=Path, metavar="DIR", help="keep what is not VALID there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.show:
        texts = [line for path in options.show for line in path.read_text().splitlines()]
        show_all([json.loads(line) for line in texts])
        return
    lines: list[dict[str, Any]] = []
    for number in range(options.runs):
        for name in options.only or CASES:
            for kind in options.kind or ("stock", "witness"):
                try:
                    run = one_run(
                        name, kind, options.rate, options.odd, substrate=options.substrate
                    )
                except RuntimeError as error:
                    sys.exit(f"{name}, {kind}: {error}")
                rto = "none" if run["rto_s"] is None else f"{run['rto_s']:.2f} s"
                tell(f"{name}, {kind}: run {number + 1}: {run['verdict']}, RTO {rto}")
                lines.append({"case": name, "kind": kind, "machine": machine(), "run": run})
                if options.append:
                    with options.append.open("a", encoding="utf-8") as kept:
                        kept.write(json.dumps(lines[-1]) + "\n")
    if options.json:
        print(json.dumps(lines, indent=2))
        return
    print(machine())
    show_all(lines)


if __name__ == "__main__":
    main()
