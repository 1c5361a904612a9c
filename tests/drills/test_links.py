"""Half-partitions to their verdict: what a leader key sees, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.commands.commands import events

from .conftest import Drilled

pytestmark = pytest.mark.slow

Drill = Callable[..., Drilled]


def struck(run: Drilled) -> tuple[str, str]:
    """Whom the one fault has struck, and its words."""
    [event] = events(run.folder, "fault")
    return str(event["target"]), str(event["detail"])


def test_a_primary_without_etcd_steps_down_before_another_one_leads(drilled: Drill) -> None:
    """Patroni issue 308, and pull request 316 that mends it."""
    run = drilled("half-partition-dcs")
    assert run.exit_code == 0, run.output + run.errors
    assert run.verdict["findings"] == []
    assert run.verdict["lost"] == 0
    primary, words = struck(run)
    assert words.startswith("etcd: of 16 test packets to ")
    holders = [event["holder"] for event in events(run.folder, "leader-key")]
    assert holders[0] == primary
    assert holders[-1] not in (primary, None)
    [gone_s] = [event["t_s"] for event in events(run.folder, "leader-key") if not event["holder"]]
    roles = [event for event in events(run.folder, "role") if event["node"] == primary]
    first = next(event for event in roles if event["role"] != "primary")
    assert float(str(first["t_s"])) < float(str(gone_s))


def test_between_two_sites_the_primary_leads_on_and_one_site_waits(drilled: Drill) -> None:
    """Patroni issues 1347 and 2523."""
    run = drilled("link-between-two-sites")
    assert run.exit_code == 0, run.output + run.errors
    assert run.verdict["lost"] == 0
    assert run.verdict["split_brain"] is False
    link, words = struck(run)
    assert words.endswith("; the rest passes")
    waiting = [site for site, share in run.verdict["availability"].items() if share < 0.7]
    assert len(waiting) == 1
    assert waiting[0] in link
