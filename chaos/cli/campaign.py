"""``bascule campaign``: many drills whose schedules are drawn."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaos.campaigns.campaign import (
    Budget,
    Campaign,
    CampaignEnd,
    begin_campaign,
    resume_campaign,
)
from chaos.campaigns.figures import totals
from chaos.campaigns.journal import CampaignJournal, read_journal
from chaos.campaigns.limits import Limits, load_limits
from chaos.campaigns.report import (
    CAMPAIGN_REPORT,
    campaign_sentence,
    cost_sentence,
    write_campaign_reports,
)
from chaos.campaigns.side_by_side import CORES_A_LAB, labs_for
from chaos.cli.shared_options import PG_BINDIR, QUIET, out_option, rate_option, seed_option
from chaos.cli.verdict_text import shown
from chaos.drill.launch import say_on_stderr
from chaos.judge.exit_codes import FINDINGS, INTERRUPTED, PASSED, of_verdict
from chaos.report import REPORT
from cluster.topology.load import find_topology

if TYPE_CHECKING:
    from chaos.campaigns.comparison import Comparison

TOPOLOGIES = (
    "three-sites",
    "three-sites-two-each",
    "two-sites-witness",
    "three-sites-failsafe",
)
"""The built-in ones that lose no acknowledged write with any one site, and need no operator."""


@click.group(invoke_without_command=True)
@click.option(
    "--runs", type=click.IntRange(min=1), metavar="N", help="Stop after so many runs, canaries too."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="Begin no run after so many minutes.",
)
@seed_option("What is drawn follows from it. [default: random, and reported]")
@click.option(
    "--topology",
    "topology_names",
    metavar="NAME|FILE",
    multiple=True,
    help=f"A topology to draw from; several times for several. [default: {', '.join(TOPOLOGIES)}]",
)
@click.option(
    "--limits",
    "limits_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What may be drawn, and what never is (docs/use/campaigns.md).",
)
@rate_option(" of the ledger; others in proportion, 4 at least. [default: 100]")
@out_option("campaign", "campaigns/<time>")
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Go on with the campaign of this folder; --runs or --minutes change how long.",
)
@click.option(
    "--shrink/--no-shrink",
    default=True,
    show_default=True,
    help="Replay each kind of failure five times, and make its schedule as small as can be.",
)
@click.option(
    "--labs",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"So many labs side by side. [default: one for {CORES_A_LAB} cores]",
)
@PG_BINDIR
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@QUIET
@click.pass_context
def campaign(  # noqa: PLR0913 (one argument an option)
    context: click.Context,
    *,
    runs: int | None,
    minutes: float | None,
    seed: int | None,
    topology_names: tuple[str, ...],
    limits_file: Path | None,
    rate_per_s: float | None,
    out: Path | None,
    resume: Path | None,
    shrink: bool,
    labs: int | None,
    pg_bindir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run many drills whose faults are drawn, and say what they found.

    Each run has its schedule as TOML, its run folder with all the evidence, and a line in
    campaign.jsonl. A campaign that was stopped or killed is gone on with by --resume. One run in
    twenty is a canary, which is known to lose writes: if it is not found out, the campaign is
    UNKNOWN.

    The exit code is 0 when every drawn run is VALID and every canary was found out, 1 when a drawn
    run is INVALID, 4 when something is UNKNOWN.
    """
    if context.invoked_subcommand is not None:
        return
    if resume is not None:
        _refuse_with_resume(seed, topology_names, limits_file, rate_per_s, out)
    budget = Budget(runs=runs, minutes=minutes)
    if resume is None:
        if budget == Budget():
            raise click.UsageError("how long? give --runs, --minutes, or both")
        journal = begin_campaign(
            out or _default_folder(),
            topologies=[find_topology(name) for name in topology_names or TOPOLOGIES],
            limits=Limits() if limits_file is None else load_limits(limits_file),
            budget=budget,
            seed=seed,
            rate_per_s=rate_per_s,
        )
    else:
        journal = resume_campaign(resume)
        if budget == Budget():
            budget = Budget(runs=journal.began.runs, minutes=journal.began.minutes)
    say = (lambda text: None) if quiet else say_on_stderr
    say(f"campaign {journal.folder}, seed {journal.began.seed}")
    end = Campaign(
        journal,
        budget,
        say,
        pg_bindir=pg_bindir,
        shrinks=shrink,
        labs=labs or labs_for(os.cpu_count()),
    ).run()
    write_campaign_reports(end.journal)
    if as_json:
        print(json.dumps(summary(end.journal), indent=2, ensure_ascii=False))
    else:
        _print(end)
    sys.exit(INTERRUPTED if end.stopped_by is not None else of_verdict(end.journal.verdict))


def _refuse_with_resume(*given: object) -> None:
    """What is drawn was said when the campaign began.

    Raises:
        UsageError: it is said again.
    """
    if any(value not in (None, ()) for value in given):
        raise click.UsageError(
            "--resume goes on with what the campaign was asked to be; it goes with --runs, "
            "--minutes, --shrink, --labs, --pg-bindir, --json and --quiet only"
        )


def _default_folder() -> Path:
    return Path("campaigns") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"


def summary(journal: CampaignJournal) -> Mapping[str, object]:
    """The campaign in figures, for scripts."""
    return {
        "verdict": journal.verdict.word,
        "folder": str(journal.folder),
        "seed": journal.began.seed,
        **asdict(totals(journal)),
        "failing": [
            {"n": run.n, "findings": list(run.findings), "folder": run.folder}
            for run in journal.drawn
            if run.is_invalid
        ],
    }


def _print(end: CampaignEnd) -> None:
    journal = end.journal
    print(campaign_sentence(journal))
    if cost := cost_sentence(journal):
        print(f"  {cost}")
    for run in journal.drawn:
        if run.verdict != "valid":
            print(f"  run {run.n}: {run.sentence}")
            print(f"    {shown(journal.folder / run.folder / REPORT)}")
    for shrunk in journal.shrunk.values():
        faults = ", ".join(str(one) for one in shrunk.faults)
        print(f"  run {shrunk.n} shrunk to {faults}; failed {shrunk.failed} of {shrunk.of}")
        print(f"    {shown(journal.folder / shrunk.schedule)}")
    print(f"  report: {shown(journal.folder / CAMPAIGN_REPORT)}")
    if end.stopped_by is not None:
        print(f"stopped; bascule campaign --resume {journal.folder} goes on")


@campaign.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def campaign_report(*, folder: Path) -> None:
    """Draw report.html and junit.xml of a campaign again."""
    journal = read_journal(folder)
    for path in write_campaign_reports(journal):
        print(shown(path))


@campaign.command("compare")
@click.argument("earlier", type=click.Path(path_type=Path), metavar="EARLIER")
@click.argument("later", type=click.Path(path_type=Path), metavar="LATER")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare_campaigns(*, earlier: Path, later: Path, as_json: bool) -> None:
    """Compare two campaigns: did the outages get longer?

    A rank test (Mann-Whitney) of the RTO of all runs, and by cause of the runs with a single fault,
    corrected for their number. The exit code is 1 when outages got longer or a kind of finding is
    new, else 0.
    """
    from chaos.campaigns.comparison import compare  # noqa: PLC0415 - it needs scipy, no other does

    found = compare(read_journal(earlier), read_journal(later))
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print_comparison(found)
    sys.exit(FINDINGS if found.is_worse else PASSED)


def print_comparison(found: Comparison) -> None:
    """A comparison for people."""
    for words in found.differences:
        print(f"not the same: {words}")
    for kind in found.new_findings:
        print(f"NEW finding: {kind}")
    for test in found.tests:
        word = "same" if not test.is_different else "LONGER" if test.is_worse else "shorter"
        print(
            f"{word:8}{test.cause}: median {test.before_s:.1f} s of {test.before}, then "
            f"{test.after_s:.1f} s of {test.after}; later is longer in {test.longer_share:.0%} of "
            f"pairs, p = {test.p:.3g}"
        )
    if found.untested:
        print(f"too few runs to tell: {', '.join(found.untested)}")
    print("worse" if found.is_worse else "not worse")
