"""A lab as it is, on a terminal: sites, roles, timelines, lag, throughput, what is broken."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chaos.gameday.lab_view import LabView, NodeView, SaidView, SiteView, duration_words
from chaos.live.terminal import ROLE_STYLES


def draw_lab(view: LabView) -> RenderableType:
    """The whole picture."""
    head = Text.assemble(
        (f"bascule lab {view.name}", "bold"),
        f"   {view.topology}   up {duration_words(view.up_s)}   phase ",
        (view.phase, "bold yellow"),
        f" for {duration_words(view.phase_s)}   leader key: ",
        (view.leader or "none", "bold"),
    )
    return Group(
        head,
        Text(),
        _nodes(view),
        Text(),
        _sites(view),
        Text(),
        *_broken(view),
        Text(),
        *(_said(one) for one in view.said),
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        is_number = column in ("behind", "acknowledged", "failed", "in doubt", "now")
        table.add_column(column, justify="right" if is_number else "left", min_width=10)
    return table


def _nodes(view: LabView) -> Table:
    table = _table("node", "site", "role", "timeline", "sync", "behind")
    for name, node in view.nodes.items():
        timeline = str(node.timeline or "")
        table.add_row(name, node.site, _role(node), timeline, node.sync or "", _behind(node))
    return table


def _role(node: NodeView) -> Text:
    return Text(node.role, style=ROLE_STYLES.get(node.role, "yellow"))


def _behind(node: NodeView) -> Text:
    return Text(node.behind_words, style="yellow" if node.behind_bytes else "")


def _sites(view: LabView) -> Table:
    table = _table("site", "now", "acknowledged", "failed", "in doubt", "by")
    for name, site in view.sites.items():
        table.add_row(
            name,
            _now(site, view.load),
            f"{site.acknowledged}",
            f"{site.failed}",
            f"{site.in_doubt}",
            site.node or "",
        )
    return table


def _now(site: SiteView, load: str) -> Text:
    if load != "running":
        return Text(site.words(load), style="dim")
    return Text(site.words(load), style="bold red" if site.is_waiting else "green")


def _broken(view: LabView) -> list[Text]:
    if not view.broken:
        found = [Text("nothing is broken", style="green")]
    else:
        found = [
            Text.assemble(
                ("broken ", "bold red"), one.words, (f"  {duration_words(one.since_s)}", "dim")
            )
            for one in view.broken
        ]
    if view.missing:
        found.append(Text.assemble(("lacks  ", "yellow"), view.missing))
    return found


def _said(one: SaidView) -> Text:
    return Text.assemble(
        (f"{one.at_s:6.1f} s", "dim"), "  ", (one.text, "bold" if one.loud else "")
    )
