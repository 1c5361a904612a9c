"""A lab in words: a line, a page, a picture; and through the channel as it was."""

from __future__ import annotations

import io
import json

from rich.console import Console

from chaos.decode import decode, encode
from chaos.gameday.lab_screen import draw_lab
from chaos.gameday.lab_view import (
    BrokenView,
    LabView,
    NodeView,
    SaidView,
    SiteView,
    duration_words,
    plain_line,
    size_words,
    status_lines,
)


def site(rate_per_s: float, silent_s: float | None) -> SiteView:
    return SiteView(
        acknowledged=120,
        failed=1,
        in_doubt=2,
        rate_per_s=rate_per_s,
        silent_s=silent_s,
        node="db-paris",
    )


def node(role: str, behind_bytes: int | None = None, sync: str | None = None) -> NodeView:
    return NodeView(site="paris", role=role, timeline=3, sync=sync, behind_bytes=behind_bytes)


VIEW = LabView(
    name="lab",
    topology="three-sites",
    substrate="lab",
    run="/runs/1",
    up_s=83.4,
    phase="fault",
    phase_s=71.0,
    ready=True,
    primary="db-paris",
    leader="db-paris",
    missing="no answer from db-orsay",
    load="running",
    sites={"paris": site(9.6, 0.1), "orsay": site(0.0, 12.34)},
    nodes={
        "db-paris": node("primary"),
        "db-orsay": node("unreachable"),
        "db-lyon": node("replica", 3 * 1024 * 1024, "quorum"),
    },
    broken=(
        BrokenView(fault="link-cut", victim="db-orsay", words="link-cut on db-orsay", since_s=12.5),
    ),
    said=(SaidView(at_s=70.9, text="FAULT link-cut on db-orsay", loud=True),),
)


def test_it_crosses_the_channel_as_it_was() -> None:
    assert decode(LabView, json.loads(json.dumps(encode(VIEW)))) == VIEW


def test_one_line_says_roles_timelines_lag_throughput_and_what_is_broken() -> None:
    assert plain_line(VIEW) == (
        "   83.4 s | fault | db-paris primary tl 3, db-orsay unreachable tl 3, "
        "db-lyon replica tl 3 3.0 MiB behind | paris 10/s, orsay waiting 12.3 s | "
        "broken: link-cut on db-orsay | lacks: no answer from db-orsay"
    )


def test_a_page_and_a_picture_say_the_same() -> None:
    page = "\n".join(status_lines(VIEW))
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=False).print(draw_lab(VIEW))
    for text in (page, out.getvalue()):
        for words in ("three-sites", "link-cut on db-orsay", "3.0 MiB", "waiting 12.3 s", "10/s"):
            assert words in text
        assert "\x1b" not in text
    assert "  broken   link-cut on db-orsay, for 12 s" in page


def test_a_load_that_does_not_run_waits_for_nothing() -> None:
    assert site(0.0, 900.0).words("stopped") == "load stopped"
    assert site(0.0, None).words("not started") == "load not started"


def test_words_of_sizes_and_durations() -> None:
    assert [size_words(one) for one in (0, 1023, 2048, 5 << 20)] == [
        "0 B",
        "1023 B",
        "2 KiB",
        "5.0 MiB",
    ]
    assert [duration_words(one) for one in (9.9, 200, 7500)] == ["9 s", "3 min 20 s", "2 h 5 min"]
