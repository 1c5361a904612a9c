"""``bascule evidence``: the paper that an auditor files, of one run or several."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from chaos.cli.check import is_over
from chaos.cli.files import refuse_existing, write_new
from chaos.errors import RunFolderError
from chaos.paper import (
    LANGUAGES,
    Asked,
    collect,
    compose_paper,
    language_of,
    overridden,
    paper_json,
    read_asked,
    render_paper,
)
from chaos.paper.asked import ENTRIES_MAX, YEAR_S

_SECONDS = click.FloatRange(0, YEAR_S)


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), metavar="RUN...", nargs=-1, required=True)
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True)
@click.option(
    "--asked",
    "asked_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The values that the hospital asks for, and its names (TOML, docs/use/evidence.md). The "
    "options below go before it.",
)
@click.option("--dmia-s", type=_SECONDS, metavar="S", help="DMIA: the longest interruption (RTO).")
@click.option("--prd-s", type=_SECONDS, metavar="S", help="PRD: the largest loss, as a time (RPO).")
@click.option(
    "--prd-entries",
    type=click.IntRange(0, ENTRIES_MAX),
    metavar="N",
    help="The largest loss, in acknowledged writes.",
)
@click.option("--dmard-s", type=_SECONDS, metavar="S", help="DMARD: the longest restore of data.")
@click.option("--pdma-s", type=_SECONDS, metavar="S", help="PDMA: the time between two backups.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="evidence.html",
    show_default=True,
    metavar="FILE",
    help="Where to write it; a file that exists is not touched.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON, write no paper.")
def evidence(  # noqa: PLR0913 - one argument an option
    *,
    runs: tuple[Path, ...],
    lang: str,
    asked_file: Path | None,
    dmia_s: float | None,
    prd_s: float | None,
    prd_entries: int | None,
    dmard_s: float | None,
    pdma_s: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write the paper that an auditor files: what some runs have shown.

    A dated HTML file that prints on A4: scope, what was exercised, interruption and loss asked and
    found, what was verified, deviations with lines for corrective action, the hashes of the
    manifests, lines for signatures, and a table of clauses (ReCyF, CaRE D2, PGSSI-S, ...), each
    with what in these runs speaks to it. It claims no conformity.

    Every run folder is compared with its manifest and judged again; one that is not what its drill
    left is refused, and nothing is written. The exit code is 0 when the paper was written, whatever
    it says, and 2 when it was refused.
    """
    if not as_json:
        refuse_existing(out)
    options = Asked(
        dmia_s=dmia_s, prd_s=prd_s, prd_entries=prd_entries, dmard_s=dmard_s, pdma_s=pdma_s
    )
    asked = overridden(read_asked(asked_file) if asked_file else Asked(), options)
    for run in runs:
        if not is_over(run):
            raise RunFolderError(
                f"{run}: its sites are still up; end them first (bascule down), then it has its "
                "manifest",
                folder=run,
            )
    shown = collect(runs, asked)
    if as_json:
        print(json.dumps(paper_json(shown), indent=2, ensure_ascii=False))
        return
    words = language_of(lang)
    today = datetime.now(UTC).date()
    page = compose_paper(shown, words, issued=today, version=version("bascule"))
    write_new(out, render_paper(page, words))
