"""Shows a running drill on standard error: live on a terminal, line by line elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chaos.evidence.events import LOADED_PHASES
from chaos.live.board import Board, NodeBoard, Note, SiteBoard

REFRESH_S = 0.25
LINES_INTERVAL_S = 5.0
NOTES_SHOWN = 8
WAITING_S = 1.0
"""From here on a site counts as waiting for service."""
ROLE_STYLES = {"primary": "bold green", "replica": "cyan", "unreachable": "bold red"}


class Display(Protocol):
    """Follows a board."""

    async def run(self) -> None:
        """Show the board until cancelled."""
        ...

    def close(self) -> None:
        """Show what came last, and leave the terminal as it was."""
        ...


def make_display(kind: str, board: Board) -> Display:
    """``live`` (a terminal), ``lines`` or ``none``."""
    if kind == "live":
        return LiveDisplay(board)
    return LinesDisplay(board, quiet=kind == "none")


def clock(board: Board, t_s: float) -> str:
    """Seconds since the drill began, for the margin."""
    return f"{t_s - board.started_s:6.1f} s"


def site_line(name: str, site: SiteBoard, now_s: float) -> str:
    """``paris 101/s`` or ``paris waiting 3.2 s``."""
    silent_s = None if site.last_ok_s is None else now_s - site.last_ok_s
    if silent_s is not None and silent_s > WAITING_S:
        return f"{name} waiting {silent_s:.1f} s"
    return f"{name} {site.rate_per_s:.0f}/s"


class LinesDisplay:
    """One line a note, and a line of throughput every few seconds."""

    def __init__(self, board: Board, *, quiet: bool) -> None:
        self._board = board
        self._quiet = quiet
        self._printed = 0

    async def run(self) -> None:
        """Print what is new, until cancelled."""
        next_s = time.monotonic() + LINES_INTERVAL_S
        while True:
            self._print_new()
            if time.monotonic() >= next_s:
                next_s += LINES_INTERVAL_S
                self._print_rates()
            await anyio.sleep(REFRESH_S)

    def close(self) -> None:
        """Print what is left."""
        self._print_new()

    def _print_new(self) -> None:
        board = self._board
        fresh = board.noted - self._printed
        self._printed = board.noted
        for note in list(board.notes)[-fresh:] if fresh else []:
            self._line(clock(board, note.t_s), note.text)

    def _print_rates(self) -> None:
        board = self._board
        now_s = time.monotonic()
        served = [site_line(name, site, now_s) for name, site in board.sites.items()]
        if board.phase in LOADED_PHASES and board.sites:
            self._line(clock(board, now_s), "acknowledged: " + ", ".join(served))

    def _line(self, margin: str, text: str) -> None:
        if self._quiet:
            return
        try:
            print(f"{margin}  {text}", file=sys.stderr, flush=True)
        except OSError:  # the reader is gone (head, a closed terminal); the drill goes on
            self._quiet = True


class LiveDisplay:
    """The board as it is, drawn again four times a second."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._live = Live(
            console=Console(stderr=True), auto_refresh=False, transient=True, screen=False
        )

    async def run(self) -> None:
        """Draw until cancelled."""
        with self._live:
            while True:
                self._live.update(draw(self._board, time.monotonic()), refresh=True)
                await anyio.sleep(REFRESH_S)

    def close(self) -> None:
        """Leave the notes behind, as lines."""
        for note in self._board.notes:
            self._live.console.print(note_text(self._board, note))


def draw(board: Board, now_s: float) -> RenderableType:
    """The whole picture."""
    head = Text.assemble(
        (f"bascule drill {board.scenario}", "bold"),
        f"   {now_s - board.started_s:.1f} s   phase ",
        (board.phase, "bold yellow"),
        f" for {max(0.0, now_s - board.phase_since_s):.1f} s   leader key: ",
        (board.leader or "none", "bold"),
    )
    notes = [note_text(board, note) for note in list(board.notes)[-NOTES_SHOWN:]]
    return Group(head, sites_table(board, now_s), nodes_table(board), *notes)


def sites_table(board: Board, now_s: float) -> Table:
    """One row a site: what its applications get."""
    table = Table(box=None, pad_edge=False)
    for column, justify in (("site", "left"), ("acknowledged", "right"), ("now", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left", min_width=14)
    table.add_column("by")
    for name, site in board.sites.items():
        loaded = board.phase in LOADED_PHASES
        table.add_row(name, f"{site.ok}", rate_text(site, now_s, loaded=loaded), site.node or "")
    return table


def rate_text(site: SiteBoard, now_s: float, *, loaded: bool) -> Text:
    """What a site gets now, in its colour."""
    silent_s = 0.0 if site.last_ok_s is None else now_s - site.last_ok_s
    if not loaded:
        return Text("no load", style="dim")
    if silent_s > WAITING_S:
        return Text(f"waiting {silent_s:.1f} s", style="bold red")
    return Text(f"{site.rate_per_s:.0f}/s", style="green")


def nodes_table(board: Board) -> Table:
    """One row a PostgreSQL: its role."""
    table = Table(box=None, pad_edge=False)
    for column in ("node", "role", "timeline", "sync"):
        table.add_column(column, min_width=14)
    for name, node in board.nodes.items():
        table.add_row(name, role_text(node), str(node.timeline or ""), node.sync or "")
    return table


def role_text(node: NodeBoard) -> Text:
    """A role in its colour."""
    return Text(node.role, style=ROLE_STYLES.get(node.role, "yellow"))


def note_text(board: Board, note: Note) -> Text:
    """A note with its time in the margin."""
    style = "bold" if note.loud else ""
    return Text.assemble((clock(board, note.t_s), "dim"), "  ", (note.text, style))
