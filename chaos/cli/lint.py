"""``bascule lint``: what a topology promises, before anything is broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

import click

from chaos.judge.exit_codes import FINDINGS, PASSED
from chaos.wording import counted
from cluster.topology.lint import KINDS, SINGLE, Claim, Lint, LossKind, lint
from cluster.topology.load import find_topology
from cluster.topology.promises import SERVICES
from cluster.topology.trap import Trap

NAMED_MAX = 3
"""So many losses of one kind and reason are named; ``--all`` names each."""


@click.command("lint")
@click.argument("topology", metavar="TOPOLOGY")
@click.option("--all", "is_all", is_flag=True, help="Name every loss, and every note.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, every loss included.")
def lint_command(*, topology: str, is_all: bool, as_json: bool) -> None:
    """Say which losses a topology survives, which not and why, and the known traps in it.

    TOPOLOGY is a built-in one (bascule topologies) or a TOML file. Nothing is started: all of it is
    computed, by the function that also judges drills.

    The exit code is 0 if the topology survives the loss of any one host and of any one site without
    losing a commit, and no trap is known in it; 1 if not; 2 if it cannot be read.
    """
    found = lint(find_topology(topology))
    if as_json:
        print(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(found, is_all=is_all)))
        if not is_all:
            notes = sum(one.is_note for one in found.traps)
            more = f" and {counted(notes, 'note', 'notes')}" if notes else ""
            print(f"every loss{more}: bascule lint {topology} --all", file=sys.stderr)
    sys.exit(PASSED if found.is_good else FINDINGS)


def lines(found: Lint, *, is_all: bool = False) -> Iterator[str]:
    """What is said on a terminal."""
    topology = found.topology
    size = f"{counted(len(topology.sites), 'site', 'sites')}, "
    size += counted(len(topology.hosts), "host", "hosts")
    yield f"{topology.name}: {size}"
    yield ""
    for kind in KINDS:
        claims = found.of(kind)
        if is_all:
            yield from (f"  {one.sentence}" for one in claims)
        elif claims:
            yield from (f"  {line}" for line in _summary(kind, claims))
    yield f"  {found.etcd}"
    yield f"  {found.copies}"
    if found.standby:
        yield f"  {found.standby}"
    shown = [one for one in found.traps if is_all or not one.is_note]
    for trap in shown:
        yield ""
        yield from _trap(trap)
    yield ""
    yield result(found)


def _summary(kind: LossKind, claims: Sequence[Claim]) -> Iterator[str]:
    """One line where all survive, else one for each reason."""
    failing = [one for one in claims if not one.survives]
    losing = [one for one in claims if one.may_lose]
    if not failing:
        yield f"survives the loss of {KINDS[kind]}" + _what_is_kept(kind)
    elif len(failing) == len(claims):
        yield f"does not survive the loss of {KINDS[kind]}:"
    else:
        kept = len(claims) - len(failing)
        what = KINDS[kind].replace("any ", "")
        yield f"of the losses of {what} it survives {kept} of {len(claims)}; not:"
    reasons: dict[str, list[Claim]] = {}
    for one in failing:
        reasons.setdefault(one.why, []).append(one)
    for why, those in reasons.items():
        yield f"    {_named(those)}: {why}"
    if losing and not failing:
        yield f"    but with {_named(losing)}, {losing[0].may_lose}"


def _what_is_kept(kind: LossKind) -> str:
    """What surviving means, where a site is lost."""
    return "" if kind in {"host", "hosts"} else ": every other site is served"


def _named(claims: Sequence[Claim]) -> str:
    names = [" + ".join(one.loss.names) for one in claims[:NAMED_MAX]]
    more = len(claims) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _trap(trap: Trap) -> Iterator[str]:
    yield f"  {'note' if trap.is_note else 'trap'}: {trap.words}"
    yield f"    remedy: {trap.remedy}"
    yield f"    source: {trap.source}"


def result(found: Lint) -> str:
    """The last line: good, or what stands against it."""
    if found.is_good:
        return "good: it survives the loss of any one host or site, and no trap is known in it"
    against: list[str] = []
    for kind in SINGLE:
        failing = [one for one in found.of(kind) if not one.survives or one.may_lose]
        if failing:
            against.append(f"{KINDS[kind].replace('any one', 'a')} ({_named(failing)})")
    wrong = sum(not one.is_note for one in found.traps)
    parts = [f"not safe against the loss of {', or '.join(against)}"] if against else []
    parts += [counted(wrong, "known trap", "known traps")] if wrong else []
    return f"can be raised, but: {'; '.join(parts)}"


def to_json(found: Lint) -> dict[str, object]:
    """Everything, with stable keys."""
    return {
        "topology": found.topology.name,
        "good": found.is_good,
        "etcd": found.etcd,
        "copies": found.copies,
        "standby": found.standby,
        "claims": [_claim_json(one) for one in found.claims],
        "traps": [
            {
                "key": one.key,
                "note": one.is_note,
                "words": one.words,
                "remedy": one.remedy,
                "source": one.source,
            }
            for one in found.traps
        ],
    }


def _claim_json(claim: Claim) -> dict[str, object]:
    return {
        "loss": claim.loss.kind,
        "names": list(claim.loss.names),
        "survives": claim.survives,
        "why": claim.why,
        "may_lose": claim.may_lose,
        "sentence": claim.sentence,
        "primary": claim.worst.primary,
        "sites": {
            site.site: {
                service: {"served": site.serves(service), "why": site.why_not.get(service, "")}
                for service in SERVICES
            }
            for site in claim.worst.sites
        },
    }
