"""How a drill tries what ``bascule lint`` says, and what its evidence answers.

A trial brings one loss about: the primary that would be the worst to have then is given the lead,
the loss strikes it, lasts as long as a failover may take, and is healed. The trials of one drill
follow one another, each as soon as the cluster is whole again and has rested a little.

A claim is **confirmed** when every site was served meanwhile exactly where the claim says so, and
**refuted** when one was not. It stays **open** where another primary led than the worst, where
Patroni happened to have named a standby that was spared, or where not all of the loss was brought
about. Everything here but the drill itself is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from figures import drill, tell

from chaos.evidence.events import FaultHealed, FaultStruck
from chaos.evidence.folder import read_run
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.timing.due import leader_at
from chaos.timing.durations import ELECTION_S_MAX, ETCD_ELECTION_S_MAX
from chaos.timing.failover import FAULT_GRACE_S
from cluster.topology.lint import Claim
from cluster.topology.load import to_toml
from cluster.topology.model import Topology
from cluster.topology.promises import Broken, promise
from cluster.topology.quorum import Shape, shape_of

REST_S = 6.0
"""From a whole cluster to the next loss: a loop of Patroni at the settings of the built-in
topologies, so that what it writes in the loop after a promotion is there."""
AFTER_SERVED_S = 3.0
"""How long a site that is served from the begin on must go on being served."""
AROUND_S = 120.0
"""Of each trial at most: the hand-over before it, and until the cluster is whole again."""
BOOT_S = 120.0
"""Before the first trial and after the last, on a machine that is busy."""
SCENARIO = """
name = "promises"
title = "What the linter says of {topology}"

steady_s = 2
fault_s = 1
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 120

[expect]
rto_s_max = 600
"""
LEAD = """
[[fault]]
fault = "failover-by-hand"
target = "cluster"
candidate = "{candidate}"
{when}
"""
"""Who leads already stays the primary, where a switchover would be refused."""
STEP = """
[[fault]]
fault = "{fault}"
target = "{target}"
{when}
heal_after_s = {lasts_s:g}
"""
AT_ONCE = "at_s = 0"
WHOLE = 'on = "whole"\nafter_s = {rest_s:g}'
TOGETHER = 'on = "struck"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimed:
    """A fault and its target, as a scenario writes them."""

    fault: str
    target: str

    @property
    def recorded(self) -> tuple[str, str]:
        """As the events of a drill name it."""
        return self.fault, self.target.partition(":")[2] or self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A claim, and how a drill tries it."""

    claim: Claim
    lead: Aimed | None
    """What gives the lead to the primary that would be the worst to have; None: only one can."""
    strokes: tuple[Aimed, ...]
    lasts_s: float

    @property
    def steps(self) -> tuple[Aimed, ...]:
        """Everything that it does to the cluster, in its order."""
        return (*((self.lead,) if self.lead else ()), *self.strokes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a drill said of a claim."""

    claim: Claim
    primary: str | None
    """Who led when it struck."""
    word: str
    """``confirmed``, ``refuted`` or ``open``."""
    why: str


def strokes_of(claim: Claim, topology: Topology) -> tuple[Aimed, ...]:
    """The faults that bring a loss about; none where no fault of ours can: the host of a client
    takes the load along, and with it the only witness.
    """
    loss = claim.loss
    if loss.kind.startswith("site"):
        fault = "site-cut" if loss.kind.endswith("cut") else "site-power-cut"
        return tuple(Aimed(fault=fault, target=f"site:{name}") for name in loss.names)
    if any("client" in topology.host(host).roles for host in loss.names):
        return ()
    return tuple(Aimed(fault="host-power-cut", target=f"host:{host}") for host in loss.names)


def trials_of(claims: Sequence[Claim], topology: Topology) -> Iterator[Trial]:
    """The claims that a drill can try."""
    settings = topology.cluster
    # As long as a failover may take, or a primary that cannot go on may last.
    lasts_s = settings.ttl_s + ETCD_ELECTION_S_MAX + ELECTION_S_MAX + 2 * FAULT_GRACE_S
    lead = Aimed(fault="failover-by-hand", target="cluster")
    for claim in claims:
        strokes = strokes_of(claim, topology)
        if strokes:
            yield Trial(
                claim=claim,
                lead=lead if len(topology.main.nodes) > 1 else None,
                strokes=strokes,
                lasts_s=lasts_s + AFTER_SERVED_S,
            )


def scenario_of(trials: Sequence[Trial], topology: Topology, rest_s: float = REST_S) -> str:
    """The scenario of a drill, as TOML.

    Args:
        trials: what it tries, one after another.
        topology: where.
        rest_s: how long the cluster has been whole before it is struck.
    """
    text, when, whole = (
        SCENARIO.format(topology=topology.name),
        AT_ONCE,
        WHOLE.format(rest_s=rest_s),
    )
    for trial in trials:
        if trial.lead is not None:
            text += LEAD.format(candidate=trial.claim.worst.primary, when=when)
            when = whole
        for aimed in trial.strokes:
            text += STEP.format(
                fault=aimed.fault, target=aimed.target, when=when, lasts_s=trial.lasts_s
            )
            when = TOGETHER
        when = whole
    return text


def try_claims(  # noqa: PLR0913 (one a part)
    claims: Sequence[Claim],
    topology: Topology,
    folder: Path,
    *,
    seed: int,
    rest_s: float,
    rate_per_s: float,
) -> list[Answer]:
    """Run one drill and say what it says of each claim.

    Raises:
        RuntimeError: nothing was broken in it.
    """
    trials = list(trials_of(claims, topology))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "topology.toml").write_text(to_toml(topology), encoding="utf-8")
    (folder / "scenario.toml").write_text(scenario_of(trials, topology, rest_s), encoding="utf-8")
    lost = None
    try:
        verdict = drill(
            *(str(folder / "scenario.toml"), "--topology", str(folder / "topology.toml")),
            *("--seed", str(seed), "--rate", f"{rate_per_s:g}"),
            out=folder / "run",
            timeout_s=BOOT_S + sum(AROUND_S + trial.lasts_s for trial in trials),
        )
        lost = verdict["lost"]
    except RuntimeError as error:
        # What it had tried by then counts.
        if not (folder / "run").exists() or not read_run(folder / "run").events_of(FaultStruck):
            raise
        tell(f"{topology.name}: {error}")
    answers = list(answers_of(trials, topology, read_run(folder / "run")))
    if not lost or any(trial.claim.may_lose for trial in trials):
        return answers
    words = f"{lost:,} acknowledged entries were lost"
    return [replace(one, word="refuted", why=f"{one.why}; {words}") for one in answers]


def answers_of(trials: Sequence[Trial], topology: Topology, run: Run) -> Iterator[Answer]:
    """What the evidence of a drill says of every claim that it tried."""
    struck = list(run.events_of(FaultStruck))
    healed = list(run.events_of(FaultHealed))
    for trial in trials:
        mine, struck = struck[: len(trial.steps)], struck[len(trial.steps) :]
        window = window_of(trial, mine, healed)
        primary = None if window is None else leader_at(run, window[0])
        if window is None or primary is None:
            why = "not all of it was brought about"
            yield Answer(claim=trial.claim, primary=primary, word="open", why=why)
        else:
            yield answer_of(trial, topology, run, primary, window)


def window_of(
    trial: Trial, struck: Sequence[FaultStruck], healed: Sequence[FaultHealed]
) -> tuple[float, float] | None:
    """When all strokes of a trial had struck, and when the first of them was healed; None if not
    all of that happened.

    Args:
        trial: what was to strike.
        struck: what struck in its turn.
        healed: all that was healed in the drill.
    """
    if sorted((one.fault, one.target) for one in struck) != sorted(
        aimed.recorded for aimed in trial.steps
    ):
        return None
    strokes = {aimed.recorded for aimed in trial.strokes}
    begin_s = max(one.t_s for one in struck if (one.fault, one.target) in strokes)
    ends_s = [one.t_s for one in healed if one.t_s > begin_s and (one.fault, one.target) in strokes]
    return (begin_s, min(ends_s)) if ends_s else None


def answer_of(
    trial: Trial, topology: Topology, run: Run, primary: str, window: tuple[float, float]
) -> Answer:
    """Compares who was served with who is promised to be, for the primary that led.

    Args:
        trial: what was tried.
        topology: where.
        run: the evidence.
        primary: who led when the loss struck.
        window: from the strike to the heal, in seconds of the drill.
    """
    struck_s, healed_s = window
    shape, broken = shape_of(topology), trial.claim.loss.broken
    found = promise(shape, broken, primary)
    promised, worst = found.served("write"), trial.claim.worst
    lucky = served_with_luck(shape, broken, primary)
    is_worst = (promised, found.leads) == (worst.served("write"), worst.leads)
    settled_s = struck_s + topology.cluster.ttl_s + FAULT_GRACE_S
    wrong: list[str] = []
    spared: list[str] = []
    for history in run.histories:
        # A primary that has lost the DCS or its replicas may serve until it gives up, a ttl later.
        from_s = struck_s + FAULT_GRACE_S if history.site in promised else settled_s
        acknowledged = [op for op in history.operations if was_acknowledged(op, from_s, healed_s)]
        if acknowledged and history.site not in promised:
            after_s = (acknowledged[0].ended_s or 0.0) - struck_s
            served = f"{history.site} was served {after_s:.1f} s after it"
            if history.site in lucky:
                spared.append(f"{served}: a standby that Patroni had named was spared")
            else:
                wrong.append(f"{served}, and cannot be")
        if not acknowledged and history.site in promised:
            wrong.append(f"{history.site} was not served in {healed_s - struck_s:.0f} s")
    said = ", ".join(sorted(promised)) or "nobody"
    why = "; ".join(wrong) or f"with {primary} in the lead {said} could write"
    word = "refuted" if wrong else "confirmed" if is_worst and not spared else "open"
    if spared and not wrong:
        why = "; ".join(spared)
    elif word == "open":
        why += f"; {worst.primary} in the lead would be worse"
    return Answer(claim=trial.claim, primary=primary, word=word, why=why)


def was_acknowledged(op: Operation, from_s: float, to_s: float) -> bool:
    """A write that was begun and acknowledged in a stretch of the drill."""
    return (
        op.outcome == "ok"
        and op.leaves_entry
        and not op.resolved
        and op.ended_s is not None
        and op.begin_s >= from_s
        and op.ended_s < to_s
    )


def served_with_luck(shape: Shape, broken: Broken, primary: str) -> frozenset[str]:
    """The sites that are served where the standby that Patroni has named happens to be in reach.

    Which one it names nobody knows beforehand, so a promise counts on none. With as many named as
    there are standbys, every one in reach is one of them.
    """
    if not shape.named_standbys:
        return frozenset()
    every = replace(shape, synchronous_node_count=len(shape.nodes) - 1)
    return frozenset(promise(every, broken, primary).served("write"))
