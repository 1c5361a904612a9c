"""Random false alarms against witnesses: ``python benchmarks/false_alarms.py --alarms 200``.

Nothing dies here. Hosts, processes, members of etcd and witnesses stand still for a while, packets
get lost, ways are cut one way, the processors are taken away, all at random and under load. What
must hold: nothing acknowledged is lost, there are never two primaries that acknowledge, and the
cluster is whole again at the end. What is told: how often a primary was replaced without need, by
witnesses and by Patroni itself, and how long the longest outage was.

Each drill raises a lab and takes some alarms, one after another; the seed says which. ``--append``
and ``--show`` are as in ``witness.py``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import drill, machine, tell

from chaos.evidence.events import FaultStruck, LeaderSeen, WitnessActed
from chaos.evidence.folder import read_run
from chaos.wording import counted

DEFAULTS = ("--ttl", "30", "--loop-wait", "10", "--retry-timeout", "10")
PATIENCE_S = 600.0
"""For one drill: some alarms of up to half a minute each, and what comes between."""
SETTLE_S = (4.0, 10.0)
"""Between the end of an alarm and the next one."""
ALARM_S = (0.1, 30.0)
"""How long a host or a process stands still; drawn evenly on a logarithmic scale, as short ones are
commoner."""
LOSS_PERCENT = 30
BURNERS_PER_CORE = 2
"""Busy processes, while a drill takes its alarms with the processors taken away."""

Draw = Callable[[random.Random], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class AlarmKind:
    """One kind of alarm: what it is called, and its fault without the time."""

    name: str
    draw: Draw


KINDS: tuple[AlarmKind, ...] = (
    AlarmKind(
        name="the primary's host stands still",
        draw=lambda _: {"fault": "host-freeze", "target": "primary"},
    ),
    AlarmKind(
        name="its PostgreSQL stands still",
        draw=lambda _: {"fault": "process-stop", "target": "primary", "process": "postgres"},
    ),
    AlarmKind(
        name="its Patroni stands still",
        draw=lambda _: {"fault": "process-stop", "target": "primary", "process": "patroni"},
    ),
    AlarmKind(
        name="a member of etcd and its witness stand still",
        draw=lambda chance: {
            "fault": "host-freeze",
            "target": f"host:dcs-{chance.choice(('paris', 'orsay', 'saint-cloud'))}",
        },
    ),
    AlarmKind(
        name="a member of etcd stands still",
        draw=lambda chance: {
            "fault": "dcs-pause",
            "target": chance.choice(("dcs-leader", "dcs-member")),
        },
    ),
    AlarmKind(
        name="the primary's cable is out",
        draw=lambda _: {"fault": "link-cut", "target": "primary"},
    ),
    AlarmKind(
        name="a cut one way at the primary's host",
        draw=lambda chance: {
            "fault": "link-cut-one-way",
            "target": "primary",
            "direction": chance.choice(("in", "out")),
        },
    ),
    AlarmKind(
        name="a cut one way at the primary's site",
        draw=lambda chance: {
            "fault": "site-cut-one-way",
            "target": "site-of:primary",
            "direction": chance.choice(("in", "out")),
        },
    ),
    AlarmKind(
        name="packets get lost at the primary's host",
        draw=lambda _: {
            "fault": "link-loss",
            "target": "primary",
            "loss_percent": LOSS_PERCENT,
        },
    ),
)


def scenario(alarms: int, chance: random.Random) -> tuple[str, list[str]]:
    """A scenario of so many alarms, as TOML, and the kinds of its alarms."""
    lines = [
        'name = "false-alarms"',
        'title = "Random false alarms, one after another"',
        "steady_s = 5",
        "fault_s = 1",
        "heal_when_service_is_back = true",
        "after_heal_s = 5",
        "recovery_s_max = 120",
    ]
    names = []
    for number in range(alarms):
        kind = chance.choice(KINDS)
        low_s, high_s = ALARM_S
        length_s = low_s * (high_s / low_s) ** chance.random()
        after = (
            ["at_s = 0"]
            if number == 0
            else ['on = "healed"', f"after_s = {chance.uniform(*SETTLE_S):.2f}"]
        )
        fault = {**kind.draw(chance), "heal_after_s": round(length_s, 2)}
        lines += [
            "",
            "[[fault]]",
            *(f"{key} = {json.dumps(value)}" for key, value in fault.items()),
        ]
        lines += after
        names.append(kind.name)
    lines += ["", "[expect]", "lost_max = 0", "rto_s_max = 120", ""]
    return "\n".join(lines), names


@contextmanager
def taken_processors(is_taken: bool) -> Iterator[None]:
    """Busy processes of the same priority, until the end of the block."""
    count = BURNERS_PER_CORE * len(list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*")))
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(count if is_taken else 0)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def one_drill(seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """What came of some alarms. The folder of a drill that is not VALID is kept in ``odd``.
    Of every fourth seed the processors are taken away.

    Raises:
        RuntimeError: the drill did not run.
    """
    kind, odd, is_busy = options.kind, options.odd, seed % 4 == 0
    text, names = scenario(options.each, random.Random(seed))
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as at:
        folder = Path(at)
        (folder / "false-alarms.toml").write_text(text, encoding="utf-8")
        witness = "--witness" if kind == "witness" else "--no-witness"
        how = (*DEFAULTS, witness, "--rate", options.rate, "--seed", str(seed))
        with taken_processors(is_busy):
            verdict = drill(
                str(folder / "false-alarms.toml"),
                *how,
                out=folder / "run",
                timeout_s=PATIENCE_S,
            )
        run = read_run(folder / "run")
        if odd is not None and verdict["verdict"] != "valid":
            shutil.copytree(folder / "run", odd / f"false-alarms-{kind}-{seed}", symlinks=True)
    struck = run.events_of(FaultStruck)
    begun_s = struck[0].t_s if struck else float("inf")
    holders = [event.holder for event in run.events_of(LeaderSeen) if event.holder is not None]
    later = [
        event.holder
        for event in run.events_of(LeaderSeen)
        if event.holder is not None and event.t_s > begun_s
    ]
    before = holders[len(holders) - len(later) - 1] if len(holders) > len(later) else None
    changes = sum(one != other for one, other in zip([before, *later], later, strict=False))
    return {
        "seed": seed,
        "kind": kind,
        "busy": is_busy,
        "alarms": names[: len(struck)],
        "asked": options.each,
        "verdict": verdict["verdict"],
        "findings": sorted({str(one["kind"]) for one in verdict["findings"]}),
        "acknowledged": verdict["acknowledged"],
        "lost": verdict["lost"],
        "acts": len(run.events_of(WitnessActed)),
        "replaced": changes,
        "outage_s": verdict["rto_s"],
    }


def show_all(drills: Sequence[dict[str, Any]]) -> None:
    """The tables of drills, as ``--append`` keeps them."""
    for kind in ("witness", "stock"):
        of_kind = [one for one in drills if one["kind"] == kind]
        if not of_kind:
            continue
        alarms = Counter(name for one in of_kind for name in one["alarms"])
        findings = Counter(name for one in of_kind for name in one["findings"])
        acts, replaced = (sum(one[key] for one in of_kind) for key in ("acts", "replaced"))
        longest = [one["outage_s"] for one in of_kind if one["outage_s"] is not None]
        print(
            f"{kind}: {counted(sum(alarms.values()), 'false alarm', 'false alarms')} in"
            f" {counted(len(of_kind), 'drill', 'drills')}"
        )
        for name, count in alarms.most_common():
            print(f"  {count:4}  {name}")
        busy = sum(len(one["alarms"]) for one in of_kind if one["busy"])
        print(f"  {busy:4}  of them with the processors taken away")
        print(f"  verdicts                     {_told(Counter(d['verdict'] for d in of_kind))}")
        print(f"  findings                     {_told(findings) or 'none'}")
        print(f"  acknowledged, lost           {sum(d['acknowledged'] for d in of_kind)},", end=" ")
        print(sum(one["lost"] or 0 for one in of_kind))
        print(f"  needless changes of primary  {replaced}, of which {acts} by witnesses")
        print(f"  longest outage of a site     {max(longest, default=0):.1f} s")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=200, help="in all")
    parser.add_argument("--each", type=int, default=8, help="alarms of one drill")
    parser.add_argument("--seed", type=int, default=1, help="of the first drill; one more for each")
    parser.add_argument("--kind", choices=("witness", "stock"), default="witness")
    parser.add_argument("--rate", default="50", help="operations a second and site")
    parser.add_argument("--append", type=Path, metavar="FILE", help="keep each drill there")
    parser.add_argument("--show", type=Path, nargs="+", metavar="FILE", help="run nothing")
    parser.add_argument("--odd", type=Path, metavar="DIR", help="keep what is not VALID there")
    parser.add_argument("--scenario", action="store_true", help="print the scenario of --seed")
    options = parser.parse_args()
    if options.show:
        texts = [line for path in options.show for line in path.read_text().splitlines()]
        show_all([json.loads(line) for line in texts])
        return
    if options.scenario:
        print(scenario(options.each, random.Random(options.seed))[0])
        return
    drills: list[dict[str, Any]] = []
    for number in range(-(-options.alarms // options.each)):
        seed = options.seed + number
        try:
            found = one_drill(seed, options)
        except RuntimeError as error:
            sys.exit(f"seed {seed}: {error}")
        tell(
            f"seed {seed}: {found['verdict']}, {len(found['alarms'])} alarms, replaced"
            f" {found['replaced']} times, acts {found['acts']}, lost {found['lost']}"
        )
        drills.append(found)
        if options.append:
            with options.append.open("a", encoding="utf-8") as kept:
                kept.write(json.dumps({**found, "machine": machine()}) + "\n")
    print(machine())
    show_all(drills)


if __name__ == "__main__":
    main()
