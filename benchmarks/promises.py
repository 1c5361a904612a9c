"""Confirms or refutes what ``bascule lint`` says, by drills: ``python benchmarks/promises.py``.

Every sentence of the linter is a claim about a loss. A drill raises the topology, brings one loss
after another about, and heals each. A claim is confirmed when every site was served meanwhile
exactly where the claim says so, and refuted when one was not. It stays open where a primary led
that is not the worst to have then, where Patroni happened to have named a standby that was spared,
or where not all of the loss was brought about. Exit 1 if anything was refuted.

The claims of one drill are those that it can bring about one after another; each begins when the
cluster has had its time to become whole again.

``--all`` goes through every shipped topology. With ``--results FILE`` each answer is a line of that
file as soon as there is one, and what is answered there is not drilled again: a run that was
stopped goes on. A claim that stayed open is tried again, with another seed, up to ``--tries``
times. A topology that has changed since has no answers. ``--show`` drills nothing and shows what
the file has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from figures import drill, machine, tell

from chaos.evidence.events import FaultHealed, FaultStruck, Phase, PhaseBegan
from chaos.evidence.folder import read_run
from chaos.evidence.run import Run
from chaos.timing.due import leader_at
from chaos.timing.durations import ELECTION_S_MAX, ETCD_ELECTION_S_MAX
from chaos.timing.failover import FAULT_GRACE_S
from cluster.topology.lint import Claim, lint
from cluster.topology.load import builtin_topologies, find_topology, to_toml
from cluster.topology.model import Topology
from cluster.topology.promises import Broken, promise
from cluster.topology.quorum import Shape, shape_of

REST_S = 40.0
"""From the heal of one loss to the next: the cluster becomes whole again in 5 to 25 s."""
HEAL_S = 10.0
"""Within which a heal that is due has begun: those of several hosts follow one another."""
AFTER_SERVED_S = 3.0
"""How long a site that is served from the begin on must go on being served."""
SCENARIO = """
name = "promises"
title = "What the linter says of {topology}"

steady_s = 2
fault_s = {fault_s:g}
heal_when_service_is_back = false
after_heal_s = 2
recovery_s_max = 120

[expect]
rto_s_max = 600
"""
STEP = """
[[fault]]
fault = "{fault}"
target = "{target}"
at_s = {at_s:g}
heal_at_s = {heal_at_s:g}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimed:
    """A fault and its target, as a scenario writes them."""

    fault: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A claim, and when a drill tries it: seconds after the begin of the fault phase."""

    claim: Claim
    strokes: tuple[Aimed, ...]
    at_s: float
    heal_at_s: float


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


def trials_of(
    claims: Sequence[Claim], topology: Topology, rest_s: float = REST_S
) -> Iterator[Trial]:
    """The claims that a drill can try, one after another, ``rest_s`` between them."""
    settings = topology.cluster
    # As long as a failover may take, or a primary that cannot go on may last.
    lasts_s = settings.ttl_s + ETCD_ELECTION_S_MAX + ELECTION_S_MAX + 2 * FAULT_GRACE_S
    at_s = 0.0
    for claim in claims:
        strokes = strokes_of(claim, topology)
        if strokes:
            heal_at_s = at_s + lasts_s + AFTER_SERVED_S
            yield Trial(claim=claim, strokes=strokes, at_s=at_s, heal_at_s=heal_at_s)
            at_s = heal_at_s + rest_s


def scenario_of(trials: Sequence[Trial], topology: Topology) -> str:
    """The scenario of a drill, as TOML."""
    end_s = max(trial.heal_at_s for trial in trials)
    text = SCENARIO.format(topology=topology.name, fault_s=end_s)
    for trial in trials:
        for aimed in trial.strokes:
            text += STEP.format(
                fault=aimed.fault,
                target=aimed.target,
                at_s=trial.at_s,
                heal_at_s=trial.heal_at_s,
            )
    return text


def answers_of(trials: Sequence[Trial], topology: Topology, run: Run) -> Iterator[Answer]:
    """What the evidence of a drill says of every claim that it tried."""
    begins = [event.t_s for event in run.events_of(PhaseBegan) if event.phase == Phase.FAULT]
    for trial in trials:
        if not begins:
            yield Answer(claim=trial.claim, primary=None, word="open", why="nothing was broken")
            continue
        yield _answer(trial, topology, run, begins[0])


def _answer(trial: Trial, topology: Topology, run: Run, begin_s: float) -> Answer:
    """Compares who was served with who is promised to be, for the primary that led."""
    struck_s, healed_s = _window(trial, run, begin_s)
    primary = None if struck_s is None else leader_at(run, struck_s)
    if struck_s is None or healed_s is None or primary is None:
        why = "not all of it was brought about"
        return Answer(claim=trial.claim, primary=primary, word="open", why=why)
    shape, broken = shape_of(topology), trial.claim.loss.broken
    promised = promise(shape, broken, primary).served("write")
    lucky = served_with_luck(shape, broken, primary)
    is_worst = promised == trial.claim.worst.served("write")
    settled_s = struck_s + topology.cluster.ttl_s + FAULT_GRACE_S
    wrong: list[str] = []
    spared: list[str] = []
    for history in run.histories:
        # A primary that has lost the DCS or its replicas may serve until it gives up, a ttl later.
        from_s = struck_s + FAULT_GRACE_S if history.site in promised else settled_s
        acknowledged = [
            op
            for op in history.operations
            if op.outcome == "ok"
            and op.leaves_entry
            and not op.resolved
            and op.ended_s is not None
            and op.begin_s >= from_s
            and op.ended_s < healed_s
        ]
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
        why += f"; with {trial.claim.worst.primary} in the lead fewer could"
    return Answer(claim=trial.claim, primary=primary, word=word, why=why)


def served_with_luck(shape: Shape, broken: Broken, primary: str) -> frozenset[str]:
    """The sites that are served where the standby that Patroni has named happens to be in reach.

    Which one it names nobody knows beforehand, so a promise counts on none. With as many named as
    there are standbys, every one in reach is one of them.
    """
    if not shape.named_standbys:
        return frozenset()
    every = replace(shape, synchronous_node_count=len(shape.nodes) - 1)
    return frozenset(promise(every, broken, primary).served("write"))


def _window(trial: Trial, run: Run, begin_s: float) -> tuple[float | None, float | None]:
    """When all strokes of a trial had struck, and when the first of them was healed."""
    due_s, end_s = begin_s + trial.at_s, begin_s + trial.heal_at_s + HEAL_S
    targets = {(one.fault, one.target.partition(":")[2]) for one in trial.strokes}
    struck = {
        (event.fault, event.target): event.t_s
        for event in run.events_of(FaultStruck)
        if due_s - FAULT_GRACE_S <= event.t_s < end_s
    }
    healed = [
        event.t_s
        for event in run.events_of(FaultHealed)
        if due_s < event.t_s < end_s and (event.fault, event.target) in targets
    ]
    if not targets <= struck.keys():
        return None, None
    return max(struck[one] for one in targets), min(healed, default=None)


def chosen(claims: Sequence[Claim], only: Sequence[str], limit: int | None) -> list[Claim]:
    """The claims that are asked for, by parts of their sentences; of each kind so many at most."""
    asked = [one for one in claims if not only or any(part in one.sentence for part in only)]
    taken: Counter[tuple[str, bool]] = Counter()
    found: list[Claim] = []
    for one in asked:
        sort = (one.loss.kind, one.survives)
        taken[sort] += 1
        if limit is None or taken[sort] <= limit:
            found.append(one)
    return found


def try_claims(  # noqa: PLR0913 (one a part)
    claims: Sequence[Claim],
    topology: Topology,
    folder: Path,
    *,
    seed: int,
    rest_s: float,
    rate_per_s: float,
) -> list[Answer]:
    """Run one drill and say what it says of each claim."""
    trials = list(trials_of(claims, topology, rest_s))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "topology.toml").write_text(to_toml(topology), encoding="utf-8")
    (folder / "scenario.toml").write_text(scenario_of(trials, topology), encoding="utf-8")
    verdict = drill(
        *(str(folder / "scenario.toml"), "--topology", str(folder / "topology.toml")),
        *("--seed", str(seed), "--rate", f"{rate_per_s:g}"),
        out=folder / "run",
        timeout_s=120 + trials[-1].heal_at_s + 240,
    )
    answers = list(answers_of(trials, topology, read_run(folder / "run")))
    lost = verdict["lost"]
    if not lost or any(trial.claim.may_lose for trial in trials):
        return answers
    words = f"{lost:,} acknowledged entries were lost"
    return [replace(one, word="refuted", why=f"{one.why}; {words}") for one in answers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of the file of results: a claim, and what a drill said of it."""

    topology: str
    digest: str
    """Of the topology as it was drilled: another one has other claims, or others meant by them."""
    claim: str
    answer: str
    primary: str | None
    why: str
    seed: int
    day: str


def digest_of(topology: Topology) -> str:
    """What a topology is, in a few letters."""
    return hashlib.sha256(to_toml(topology).encode()).hexdigest()[:12]


class Results:
    """What drills have said so far, in a file with a line an answer.

    Args:
        path: of the file; None: it is kept in memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.told: list[Told] = []
        if path is not None and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.told = [Told(**json.loads(line)) for line in lines if line.strip()]

    def add(self, told: Told) -> None:
        """Write an answer down, at once."""
        self.told.append(told)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(told), ensure_ascii=False) + "\n")

    def of(self, topology: Topology) -> dict[str, list[Told]]:
        """The answers to each sentence of a topology as it is now, the oldest first."""
        digest, found = digest_of(topology), dict[str, list[Told]]()
        for told in self.told:
            if (told.topology, told.digest) == (topology.name, digest):
                found.setdefault(told.claim, []).append(told)
        return found

    def undecided(self, claims: Sequence[Claim], topology: Topology, tries: int) -> list[Claim]:
        """The claims that are to be drilled: never answered, or open after fewer than ``tries``."""
        told = self.of(topology)
        return [
            one
            for one in claims
            if all(answer.answer == "open" for answer in told.get(one.sentence, ()))
            and len(told.get(one.sentence, ())) < tries
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topologies", nargs="*", default=["three-sites"], metavar="topology")
    parser.add_argument("--all", action="store_true", help="every shipped topology")
    parser.add_argument("--only", nargs="*", default=(), help="parts of sentences: 'site paris'")
    parser.add_argument("--limit", type=int, help="of each kind of loss so many claims at most")
    parser.add_argument("--batch", type=int, default=4, help="claims a drill")
    parser.add_argument("--drills", type=int, help="end after so many drills")
    parser.add_argument("--tries", type=int, default=1, help="drills for a claim that stays open")
    parser.add_argument("--rest", type=float, default=REST_S, help="seconds between two losses")
    parser.add_argument("--rate", type=float, default=100.0, help="operations a second and site")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="name the claims, and run nothing")
    parser.add_argument("--show", action="store_true", help="show --results, and run nothing")
    parser.add_argument("--results", type=Path, metavar="FILE", help="what was answered, and is")
    parser.add_argument("--keep", type=Path, help="folder in which the run folders stay")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    named = [find_topology(name) for name in options.topologies]
    topologies = list(builtin_topologies()) if options.all else named
    results = Results(options.results)
    asked = {
        topology.name: [
            one
            for one in chosen(lint(topology).claims, options.only, options.limit)
            if strokes_of(one, topology)
        ]
        for topology in topologies
    }
    if options.list:
        print("\n".join(f"{name}: {one.sentence}" for name in asked for one in asked[name]))
        return
    if not options.show:
        place = options.keep or Path(tempfile.mkdtemp(prefix="bascule-promises-"))
        try:
            answer_all(topologies, asked, results, place, options)
        finally:
            if options.keep is None:
                shutil.rmtree(place, ignore_errors=True)
    told = [
        answers[-1]
        for topology in topologies
        for one in asked[topology.name]
        if (answers := results.of(topology).get(one.sentence))
    ]
    report(told, {name: len(claims) for name, claims in asked.items()}, as_json=options.json)
    sys.exit(1 if any(one.answer == "refuted" for one in told) else 0)


def answer_all(
    topologies: Sequence[Topology],
    asked: Mapping[str, Sequence[Claim]],
    results: Results,
    place: Path,
    options: argparse.Namespace,
) -> None:
    """Drill until every claim is answered as far as is asked for; each answer is kept at once."""
    drills = 0
    for topology in topologies:
        while claims := results.undecided(asked[topology.name], topology, options.tries):
            if options.drills is not None and drills >= options.drills:
                return
            seed = options.seed + len(results.told)
            found = try_claims(
                claims[: options.batch],
                topology,
                place / f"drill-{drills}",
                seed=seed,
                rest_s=options.rest,
                rate_per_s=options.rate,
            )
            drills += 1
            for one in found:
                tell(f"{topology.name}: {one.word}: {one.claim.sentence} ({one.why})")
                results.add(
                    Told(
                        topology=topology.name,
                        digest=digest_of(topology),
                        claim=one.claim.sentence,
                        answer=one.word,
                        primary=one.primary,
                        why=one.why,
                        seed=seed,
                        day=f"{date.today()}",
                    )
                )


def report(told: Sequence[Told], asked: Mapping[str, int], *, as_json: bool) -> None:
    """Every claim with its last answer, and for each topology how many of each."""
    if as_json:
        print(json.dumps({"machine": machine(), "claims": [asdict(one) for one in told]}))
        return
    print(machine())
    for one in told:
        print(f"{one.answer:9}  {one.topology}: {one.claim}: {one.why}")
    for name, number in asked.items():
        words = [one.answer for one in told if one.topology == name]
        counts = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
        counts += [f"{number - len(words)} not tried"] if len(words) < number else []
        print(f"{name}: {', '.join(counts)}")


if __name__ == "__main__":
    main()
