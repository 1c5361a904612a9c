"""Confirms or refutes what ``bascule lint`` says, by drills: ``python benchmarks/promises.py``.

Every sentence of the linter is a claim about a loss. A drill raises the topology and brings one
loss after another about; ``promise_trials.py`` says how, and when a claim is confirmed, refuted or
left open. Exit 1 if anything was refuted.

``--all`` goes through every shipped topology. Each answer is a line of ``--results``
(``results/promises.jsonl``, which is part of the repository) as soon as there is one, and what is
answered there is not drilled again: a run that was stopped goes on, on whatever machine. A claim
that stayed open is tried again, with another seed, up to ``--tries`` times, and with ``--again``
one that was refuted once more; its last answer counts. A topology that has changed since has no
answers; ``--tidy`` takes such lines out. ``--show`` drills nothing and shows what the file has,
``--write`` makes ``docs/reference/promise-results.md`` of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from figures import RESULTS, digest_of, machine, tell
from promise_trials import REST_S, Answer, strokes_of, try_claims

from cluster.topology.lint import KINDS, Claim, lint
from cluster.topology.load import builtin_topologies, find_topology, to_toml
from cluster.topology.model import Topology

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "promise-results.md"
FAILED_MAX = 3
"""So many drills in a row that break nothing end the try of a topology."""
WORDS = ("confirmed", "refuted", "open")
HEADING = """\
| topology | claims | confirmed | refuted | open | not drilled |
|---|---|---|---|---|---|"""
INTRODUCTION = """\
# What the linter says, drilled

`bascule lint` says of every topology which losses it survives, which not and why
([what it says](../use/topologies.md#what-a-topology-promises)). Each sentence is a claim that a
drill confirms or refutes: the primary that would be the worst to have leads, the loss strikes, and
for as long as a failover may take every site must be served exactly where the claim says so.
{answered} of {claims} claims of the built-in topologies were drilled so far, {days}. Written by
`python benchmarks/promises.py --all --write`.

Not among them are losses of the host of a client, whose load is the only witness. **Open** is what
a drill could not decide: all of the loss was not brought about, or Patroni happened to have named a
standby that was spared.

"""


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


def digest_of_topology(topology: Topology) -> str:
    """What a topology is, without the words about it."""
    return digest_of(to_toml(replace(topology, title="")))


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
                file.write(line_of(told))

    def tidy(self, topologies: Sequence[Topology]) -> None:
        """Leave in the file only the answers about these topologies as they are now."""
        now = {(one.name, digest_of_topology(one)) for one in topologies}
        self.told = [one for one in self.told if (one.topology, one.digest) in now]
        if self._path is not None:
            self._path.write_text("".join(map(line_of, self.told)), encoding="utf-8")

    def of(self, topology: Topology) -> dict[str, list[Told]]:
        """The answers to each sentence of a topology as it is now, the oldest first."""
        digest, found = digest_of_topology(topology), dict[str, list[Told]]()
        for told in self.told:
            if (told.topology, told.digest) == (topology.name, digest):
                found.setdefault(told.claim, []).append(told)
        return found

    def last(self, topology: Topology, claims: Sequence[Claim]) -> list[Told]:
        """The last answer to each claim that has one."""
        told = self.of(topology)
        return [answers[-1] for one in claims if (answers := told.get(one.sentence))]

    def undecided(self, claims: Sequence[Claim], topology: Topology, tries: int) -> list[Claim]:
        """The claims that are to be drilled: never answered, or open after fewer than ``tries``."""
        told = self.of(topology)
        return [
            one
            for one in claims
            if all(answer.answer == "open" for answer in told.get(one.sentence, ()))
            and len(told.get(one.sentence, ())) < tries
        ]

    def refuted(self, claims: Sequence[Claim], topology: Topology) -> list[Claim]:
        """The claims whose last answer is that they are wrong."""
        wrong = {one.claim for one in self.last(topology, claims) if one.answer == "refuted"}
        return [one for one in claims if one.sentence in wrong]


def line_of(told: Told) -> str:
    """A line of the file."""
    return json.dumps(asdict(told), ensure_ascii=False) + "\n"


def drillable(topology: Topology) -> list[Claim]:
    """The claims of a topology that faults of ours can try."""
    return [one for one in lint(topology).claims if strokes_of(one, topology)]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topologies", nargs="*", default=["three-sites"], metavar="topology")
    parser.add_argument("--all", action="store_true", help="every shipped topology")
    parser.add_argument("--only", nargs="*", default=(), help="parts of sentences: 'site paris'")
    parser.add_argument("--limit", type=int, help="of each kind of loss so many claims at most")
    parser.add_argument("--batch", type=int, default=4, help="claims a drill")
    parser.add_argument("--drills", type=int, help="end after so many drills")
    parser.add_argument("--tries", type=int, default=1, help="drills for a claim that stays open")
    parser.add_argument("--again", action="store_true", help="once more what was refuted")
    parser.add_argument("--rest", type=float, default=REST_S, help="seconds, whole, before a loss")
    parser.add_argument("--rate", type=float, default=100.0, help="operations a second and site")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="name the claims, and run nothing")
    parser.add_argument("--show", action="store_true", help="show --results, and run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS / "promises.jsonl", metavar="FILE")
    parser.add_argument("--tidy", action="store_true", help="drop lines that count for nothing")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--keep", type=Path, help="folder in which the run folders stay")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    topologies = (
        list(builtin_topologies())
        if options.all
        else [find_topology(name) for name in options.topologies]
    )
    results = Results(options.results)
    if options.tidy:
        results.tidy(list(builtin_topologies()))
    asked = {
        topology.name: chosen(drillable(topology), options.only, options.limit)
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
    told = [one for topology in topologies for one in results.last(topology, asked[topology.name])]
    report(told, {name: len(claims) for name, claims in asked.items()}, as_json=options.json)
    if options.write:
        PAGE.write_text(page_of(results), encoding="utf-8")
    sys.exit(1 if any(one.answer == "refuted" for one in told) else 0)


def answer_all(
    topologies: Sequence[Topology],
    asked: Mapping[str, Sequence[Claim]],
    results: Results,
    place: Path,
    options: argparse.Namespace,
) -> None:
    """Drill until every claim is answered as far as is asked for; each answer is kept at once. A
    topology that does not come up, as on a machine that is too busy, is left after some tries."""
    drills = 0
    for topology in topologies:
        failed = 0
        again = results.refuted(asked[topology.name], topology) if options.again else []
        while again or (claims := results.undecided(asked[topology.name], topology, options.tries)):
            if options.drills is not None and drills >= options.drills:
                return
            if again:
                batch, again = again[: options.batch], again[options.batch :]
            else:
                batch = claims[: options.batch]
            seed = options.seed + len(results.told)
            drills += 1
            try:
                found = try_claims(
                    batch,
                    topology,
                    place / f"drill-{drills}",
                    seed=seed,
                    rest_s=options.rest,
                    rate_per_s=options.rate,
                )
            except RuntimeError as error:
                tell(f"{topology.name}: {error}")
                failed += 1
                if failed == FAILED_MAX:
                    break
                continue
            failed = 0
            for one in found:
                tell(f"{topology.name}: {one.word}: {one.claim.sentence} ({one.why})")
                results.add(told_of(one, topology, seed))


def told_of(answer: Answer, topology: Topology, seed: int) -> Told:
    """An answer as it is kept."""
    return Told(
        topology=topology.name,
        digest=digest_of_topology(topology),
        claim=answer.claim.sentence,
        answer=answer.word,
        primary=answer.primary,
        why=answer.why,
        seed=seed,
        day=f"{date.today()}",
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


def page_of(results: Results) -> str:
    """The page, with everything that there is about the built-in topologies as they are now."""
    rows, told, claims = list[str](), list[Told](), 0
    kinds: Counter[tuple[str, str]] = Counter()
    for topology in builtin_topologies():
        asked = drillable(topology)
        last = results.last(topology, asked)
        claims, told = claims + len(asked), told + last
        by_sentence = {one.claim: one.answer for one in last}
        kinds.update((one.loss.kind, by_sentence.get(one.sentence, "")) for one in asked)
        words = [one.answer for one in last]
        cells = (f"`{topology.name}`", len(asked), *map(words.count, WORDS), len(asked) - len(last))
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    rows += ["", HEADING.replace("topology", "loss of")]
    for kind, words_of_kind in KINDS.items():
        counts = [kinds[kind, word] for word in (*WORDS, "")]
        cells = (words_of_kind, sum(counts), *counts)
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    days = sorted({one.day for one in told}) or [f"{date.today()}"]
    page = INTRODUCTION.format(
        answered=len(told), claims=claims, days=" to ".join(dict.fromkeys((days[0], days[-1])))
    )
    page += "\n".join([HEADING, *rows]) + "\n"
    for word in ("refuted", "open"):
        lines = [
            f"- `{one.topology}`: {one.claim}: {one.why}." for one in told if one.answer == word
        ]
        if lines:
            page += f"\n## {word.capitalize()}\n\n" + "\n".join(lines) + "\n"
    return page


if __name__ == "__main__":
    main()
