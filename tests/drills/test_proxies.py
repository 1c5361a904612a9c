"""A load that goes through HAProxy, to its verdict."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from support.commands.commands import events

from .conftest import Drilled

pytestmark = pytest.mark.slow

Drill = Callable[..., Drilled]
SITES = ("paris", "orsay", "saint-cloud")


def test_without_its_haproxy_a_site_goes_through_another_one(drilled: Drill) -> None:
    """What is in doubt when HAProxy dies stays so: plain psycopg has no id row to ask."""
    run = drilled("haproxy-loss")
    kinds = {finding["kind"] for finding in run.verdict["findings"]}
    assert kinds <= {"in-doubt-unresolved"}, run.output + run.errors
    assert run.verdict["lost"] == 0
    assert run.verdict["split_brain"] is False
    [struck] = events(run.folder, "fault")
    assert struck["target"] == "lb-paris"
    assert str(struck["detail"]).endswith("(haproxy)")
    for site in SITES:
        assert run.verdict["sites"][site]["served_again"], site
    through = run.verdict["through"]
    assert through["proxy"] == "haproxy"
    assert list(through["direct_sites"]) == list(SITES)
    assert all(site["ok"] > 0 for site in through["direct_sites"].values())
    assert "straight to the members; the load went through HAProxy" in run.output
    settings = json.loads((run.folder / "run.json").read_text())["settings"]
    assert settings["client"] == "psycopg"
    assert {"haproxy", "pgbouncer"} <= set(run.verdict["versions"])
    # No password is in what the proxies were configured with.
    for path in (run.folder / "config").glob("*.ini"):
        assert "auth_file = " in path.read_text()
        assert "password" not in path.read_text()
