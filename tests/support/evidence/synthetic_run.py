"""Run folders written without a cluster: faithful in format and rates, known in outcome.

A story says who was primary when, when which site was without service, and what was lost; the rest
(3 sites, 2 workers each, 100 operations/s a site) follows from it and a seed. Tests of everything
that reads a run folder can use it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos.evidence.manifest import write_manifest
from chaos.evidence.records import Scalar
from chaos.evidence.scenario_json import scenario_to_dict
from chaos.scenarios.model import Expectations, FaultStep, Scenario
from cluster.topology.settings import SyncMode
from replication.wire.wal import format_lsn

ORIGIN_S = 48_211.25
"""CLOCK_MONOTONIC at the start of every synthetic run; not zero, so that nobody forgets it."""

SITES = ("paris", "orsay", "saint-cloud")
NODES = tuple(f"db-{site}" for site in SITES)
WORKERS = 2
PACE_S = 0.02
"""A worker begins an operation every 20 ms: 2 workers make 100 operations/s a site."""

STEADY_BEGIN_S = 6.2
FIRST_LSN = 0x3000060
LSN_STEP = 232


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """From ``from_s`` on, ``node`` is where writes are acknowledged."""

    from_s: float
    node: str
    timeline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens in a synthetic run. All moments are seconds since its start."""

    scenario: Scenario
    load_end_s: float
    events: tuple[tuple[float, Mapping[str, Scalar]], ...]
    reigns: tuple[Reign, ...]
    outages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lost_window: tuple[float, float] | None = None
    """Entries that were acknowledged in it are in no final read."""
    pace_s: float = PACE_S
    """A worker begins an operation so often."""
    finished: bool = True
    """False: the run broke off at ``load_end_s``: no final read, histories cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """One finished operation, before it gets its LSN."""

    id: str
    site: str
    worker: int
    invoked_s: float
    attempt_s: float
    ended_s: float
    attempts: int
    resolved: bool
    reign: Reign


def write_run(folder: Path, story: Story, *, seed: int = 7, sealed: bool = True) -> Path:
    """Writes the run folder of ``story``; the same story and seed give the same bytes.

    ``sealed``: with a manifest; else it is a folder of format 2, which had none.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    done = sorted(
        (
            op
            for site in SITES
            for worker in range(WORKERS)
            for op in _worker(story, site, worker, rng)
        ),
        key=lambda op: op.ended_s,
    )
    lsns = {op.id: FIRST_LSN + index * LSN_STEP for index, op in enumerate(done)}
    survivors = [op for op in done if not _is_lost(story, op)]
    _write_json(folder / "run.json", _run_json(story, seed, 3 if sealed else 2))
    (folder / "topology.toml").write_text('name = "three-sites"\n')
    (folder / "config").mkdir()
    (folder / "logs").mkdir()
    _write_lines(folder / "events.jsonl", _events(story, survivors, lsns))
    for site in SITES:
        plain = _history(story, [op for op in done if op.site == site], lsns)
        lines: list[dict[str, Scalar]] = [
            {"seq": seq, **line} if sealed else line for seq, line in enumerate(plain)
        ]
        _write_lines(folder / f"history-{site}.jsonl", lines, torn=not story.finished)
    if story.finished:
        for node in NODES:
            _write_lines(folder / f"final-{node}.jsonl", _final(story, node, survivors, lsns))
    if sealed:
        write_manifest(folder)
    return folder


def _worker(story: Story, site: str, worker: int, rng: random.Random) -> Iterator[_Done]:
    """A worker's operations: paced, one at a time, waiting through an outage."""
    out_from, out_to = story.outages.get(site, (float("inf"), float("inf")))
    t_s = STEADY_BEGIN_S + worker * story.pace_s / WORKERS
    number = 0
    while t_s < story.load_end_s:
        reign = _reign(story, t_s)
        near = reign.node == f"db-{site}"
        ended_s = t_s + rng.lognormvariate(0.0, 0.35) * (0.0016 if near else 0.0023)
        attempts, attempt_s, resolved = 1, t_s, False
        if out_from <= t_s < out_to:
            attempt_s = out_to + 0.004 * worker
            ended_s = attempt_s + 0.012 + rng.random() * 0.01
            attempts = 2 + int((out_to - t_s) / 0.7)
            resolved = worker == 0
        yield _Done(
            id=f"{site}-{worker}-{number}",
            site=site,
            worker=worker,
            invoked_s=t_s,
            attempt_s=attempt_s,
            ended_s=ended_s,
            attempts=attempts,
            resolved=resolved,
            reign=_reign(story, attempt_s),
        )
        number += 1
        t_s = max(t_s + story.pace_s, ended_s)


def _reign(story: Story, t_s: float) -> Reign:
    return [reign for reign in story.reigns if reign.from_s <= t_s][-1]


def _is_lost(story: Story, op: _Done) -> bool:
    return story.lost_window is not None and (
        story.lost_window[0] <= op.ended_s < story.lost_window[1]
    )


def _history(
    story: Story, ops: list[_Done], lsns: Mapping[str, int]
) -> Iterator[dict[str, Scalar]]:
    """Invocations and ends in the order of their times, as a load process writes them."""
    lines: list[tuple[float, dict[str, Scalar]]] = []
    for op in ops:
        invoked_s, ended_s = ORIGIN_S + op.invoked_s, ORIGIN_S + op.ended_s
        lines.append(
            (invoked_s, {"type": "invoke", "id": op.id, "worker": op.worker, "t_s": invoked_s})
        )
        ok: dict[str, Scalar] = {
            "type": "ok",
            "id": op.id,
            "t_s": ended_s,
            "attempt_s": ORIGIN_S + op.attempt_s,
            "attempts": op.attempts,
            "node": op.reign.node,
            "timeline": op.reign.timeline,
            "lsn": format_lsn(lsns[op.id]),
            "resolved": op.resolved,
        }
        lines.append((ended_s, ok))
    if not story.finished:
        # Whoever was still waiting when the run broke off has begun and not ended.
        broke_off_s = ORIGIN_S + story.load_end_s
        lines = [line for line in lines if line[0] <= broke_off_s]
    lines.sort(key=lambda line: line[0])
    yield from (line for _, line in lines)
    if story.finished:
        end_s = max(ORIGIN_S + story.load_end_s, lines[-1][0])
        yield {"type": "end", "t_s": end_s, "operations": len(ops)}


def _events(
    story: Story, survivors: list[_Done], lsns: Mapping[str, int]
) -> Iterator[dict[str, Scalar]]:
    """The story's events; ``timeline`` events get the LSN at which that timeline ended."""
    for seq, (t_s, fields) in enumerate(sorted(story.events, key=lambda event: event[0])):
        line: dict[str, Scalar] = {"seq": seq, "t_s": ORIGIN_S + t_s, **fields}
        if fields["kind"] == "timeline":
            last = max(lsns[op.id] for op in survivors if op.reign.timeline == fields["timeline"])
            line["end_lsn"] = format_lsn(last + LSN_STEP)
        yield line


def _final(
    story: Story, node: str, survivors: list[_Done], lsns: Mapping[str, int]
) -> Iterator[dict[str, Scalar]]:
    reign = story.reigns[-1]
    yield {
        "type": "header",
        "t_s": ORIGIN_S + story.load_end_s + 1.6,
        "node": node,
        "timeline": reign.timeline,
        "lsn": format_lsn(max(lsns.values()) + LSN_STEP),
        "is_primary": node == reign.node,
    }
    for op in survivors:
        yield {"type": "row", "id": op.id, "content": f"{op.site}|{op.worker}|{op.id}|entry"}
    yield {"type": "end", "rows": len(survivors)}


def _run_json(story: Story, seed: int, version: int) -> dict[str, object]:
    return {
        "format_version": version,
        "scenario": scenario_to_dict(story.scenario),
        "command": f"bascule drill {story.scenario.name} --seed {seed} --ttl 20",
        "seed": seed,
        "started_at": "2026-11-24T03:50:00.000Z",
        "started_t_s": ORIGIN_S,
        "topology": "three-sites",
        "sites": [
            {
                "name": site,
                "hosts": [
                    {"name": f"db-{site}", "roles": ["postgres"]},
                    {"name": f"dcs-{site}", "roles": ["etcd"]},
                    {"name": f"app-{site}", "roles": ["client"]},
                ],
            }
            for site in SITES
        ],
        "settings": {
            "durability": story.scenario.durability,
            "ttl_s": 20,
            "loop_wait_s": 5,
            "retry_timeout_s": 5,
            "rate_per_s": round(WORKERS / story.pace_s),
            "workers": WORKERS,
            "deadline_s": 60,
        },
        "versions": {
            "bascule": "0.1.0",
            "postgresql": "18.6",
            "patroni": "4.1.5",
            "etcd": "3.4.23",
            "python": "3.11.7",
            "kernel": "6.1.0",
        },
        "substrate": {"name": "lab", "wan": "no delay", "data": "tmpfs"},
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _write_lines(
    path: Path, lines: Iterator[dict[str, Scalar]] | list[dict[str, Scalar]], *, torn: bool = False
) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text[:-9] if torn else text)


def scenario(
    name: str,
    title: str,
    *,
    faults: tuple[FaultStep, ...] = (),
    durability: SyncMode = "quorum",
    fault_s: float = 0.0,
    expect: Expectations | None = None,
) -> Scenario:
    """A scenario with the durations that the synthetic stories keep to."""
    return Scenario(
        name=name,
        title=title,
        description=f"A synthetic {name}.",
        durability=durability,
        steady_s=8.0,
        fault_s=fault_s,
        after_heal_s=4.0,
        heal_when_service_is_back=bool(faults),
        recovery_s_max=60.0,
        faults=faults,
        expect=expect or Expectations(rto_s_max=45.0),
    )
