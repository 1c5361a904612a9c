"""``bascule status``, ``watch``, ``psql`` and ``logs``: a look at a lab that is up."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from chaos.cli.labs import lab_of, lab_option, named_lab, say
from chaos.decode import encode
from chaos.gameday.errors import NotHealthyError, NotRunningError
from chaos.gameday.lab_handle import tail
from chaos.gameday.lab_screen import draw_lab
from chaos.gameday.lab_view import LabView, plain_line, status_lines
from chaos.gameday.labs import LOOK_TIMEOUT_S, LabNameError, LivingLab, living
from chaos.gameday.raising import DBNAME, urls_of
from chaos.gameday.requests import HOST, Ready, Request
from cluster.binaries import find_binaries

WATCH_INTERVAL_S = 1.0
LOG_LINES = 20


@click.command()
@named_lab()
@click.option("--all", "all_labs", is_flag=True, help="Every lab that is up.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (a list with --all).")
def status(*, name: str | None, all_labs: bool, as_json: bool) -> None:
    """Say how a lab is: roles, timelines, lag, load, what is broken, what it lacks to be whole.

    Exit codes: 0 it is up, 2 there is no such lab, 3 its supervisor has died.
    """
    labs = list(living(say)) if all_labs else [lab_of(name)]
    views = [(lab, _look(lab)) for lab in labs]
    if as_json:
        found = [_status_json(lab, view) for lab, view in views]
        print(json.dumps(found if all_labs else found[0], indent=2, ensure_ascii=False))
        return
    if not views:
        print("no lab is up")
    for index, (_, view) in enumerate(views):
        print("\n" * bool(index) + "\n".join(status_lines(view)))


def _look(lab: LivingLab) -> LabView:
    return lab.ask(Request(op="look"), LabView, timeout_s=LOOK_TIMEOUT_S)


def _status_json(lab: LivingLab, view: LabView) -> dict[str, object]:
    encoded = encode(view)
    assert isinstance(encoded, dict)  # a dataclass always encodes as one
    urls = encode(urls_of(lab.plan, _ready(lab))) if view.ready else None
    return {**encoded, "supervisor_pid": lab.pid, "urls": urls}


def _ready(lab: LivingLab) -> Ready:
    return lab.ask(Request(op="ready"), Ready, timeout_s=LOOK_TIMEOUT_S)


@click.command()
@named_lab()
def watch(*, name: str | None) -> None:
    """Show a lab live until Ctrl-C, or until it ends; a line a second where no terminal is."""
    lab = lab_of(name)
    try:
        if sys.stdout.isatty():
            _watch_live(lab)
        else:
            _watch_plainly(lab)
    except NotRunningError:
        say(f"lab {lab.name} has ended")
    except KeyboardInterrupt:  # that is how one stops looking
        return
    except BrokenPipeError:  # nobody reads any more (head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watch_live(lab: LivingLab) -> None:
    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        while True:
            try:
                live.update(draw_lab(_look(lab)), refresh=True)
            except NotHealthyError:  # busy; it is asked again
                continue
            time.sleep(WATCH_INTERVAL_S)


def _watch_plainly(lab: LivingLab) -> None:
    while True:
        try:
            line = plain_line(_look(lab))
        except NotHealthyError as error:
            line = str(error)
        print(line, flush=True)
        time.sleep(WATCH_INTERVAL_S)


@click.command(context_settings={"ignore_unknown_options": True})
@lab_option()
@click.option(
    "--on",
    "place",
    default="primary",
    show_default=True,
    metavar="primary|replica|NODE",
    help="Where it leads.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENTS]...")
def psql(*, name: str | None, place: str, arguments: tuple[str, ...]) -> None:
    """Open psql in a lab, as superuser, on whichever host is the primary.

    \b
    bascule psql
    bascule psql -c 'TABLE pg_stat_replication'
    bascule psql --on replica -c 'SELECT pg_last_wal_replay_lsn()'
    """
    lab = lab_of(name)
    places = [one.leads_to for one in lab.plan.ports]
    if place not in places:
        raise click.BadParameter(
            f"{place} is no place in it; there are {', '.join(places)}", param_hint="--on"
        )
    ready = _ready(lab)
    program = _psql(lab)
    environment = {
        **os.environ,
        "PGHOST": HOST,
        "PGPORT": str(lab.plan.port_to(place)),
        "PGUSER": ready.superuser,
        "PGPASSWORD": ready.superuser_password,
        "PGDATABASE": DBNAME,
    }
    os.execve(program, [str(program), *arguments], environment)


def _psql(lab: LivingLab) -> Path:
    """The psql that belongs to the lab's PostgreSQL.

    Raises:
        LabNameError: this machine has none.
    """
    chosen = None if lab.plan.pg_bindir is None else Path(lab.plan.pg_bindir)
    found = find_binaries(chosen).pg_bindir / "psql"
    if not found.exists():
        urls = urls_of(lab.plan, _ready(lab))
        raise LabNameError(f"there is no {found}; use another client: {urls.primary}")
    return found


@click.command()
@lab_option()
@click.option("--lines", type=click.IntRange(1), default=LOG_LINES, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.argument("host", default="", metavar="[HOST]")
@click.argument("process", default="", metavar="[PROCESS]")
def logs(*, name: str | None, lines: int, follow: bool, host: str, process: str) -> None:
    """Print the end of the logs of a lab: of all hosts, of HOST, or of one of its processes.

    \b
    bascule logs db-paris
    bascule logs db-paris postgres --lines 50
    bascule logs --follow db-orsay patroni
    """
    lab = lab_of(name)
    found = log_files(lab.run, host, process)
    if not found:
        known = ", ".join(sorted(path.stem for path in log_files(lab.run, "", "")))
        what = ".".join(part for part in (host, process) if part)
        raise click.BadParameter(f"no log of {what}; there are {known}", param_hint="HOST")
    if follow:
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *map(str, found)])
    for path in found:
        print(f"{path.stem}:", *tail(path, lines), sep="\n")


def log_files(run: Path, host: str, process: str) -> Sequence[Path]:
    """The logs in a run folder: ``<host>.<process>.log``."""
    return sorted((run / "logs").glob(f"{host or '*'}.{process or '*'}.log"))
