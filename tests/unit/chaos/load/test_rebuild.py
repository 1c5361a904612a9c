"""What is withdrawn again after a restore: what came back with the data, nothing that failed."""

from __future__ import annotations

from pathlib import Path

from chaos.evidence.access import AccessFile, Withdrawn
from chaos.evidence.rebuilds import Rebuild
from chaos.load.rebuild import WITHDRAWN_SLACK_S, withdrawn_since

POINT = Rebuild(entry="t", xid="731", age_s=5.0, named_s=105.0, named_timeline=1)
"""Written at 100 s."""


def withdrawn(probe: str, end_s: float, error: str | None = None) -> Withdrawn:
    return Withdrawn(
        probe=probe, sql=f"REVOKE {probe}", begin_s=end_s - 0.1, end_s=end_s, error=error
    )


def test_what_was_acknowledged_since_the_point_in_its_order(tmp_path: Path) -> None:
    with AccessFile(tmp_path) as out:
        for one in (
            withdrawn("long before", 90.0),
            withdrawn("just before", 100.0 - WITHDRAWN_SLACK_S / 2),
            withdrawn("since", 103.0),
            withdrawn("refused", 103.5, "there is no primary"),
            withdrawn("later", 104.0),
        ):
            out.withdrawal(one)
    found = withdrawn_since(tmp_path, POINT)
    assert [one.probe for one in found] == ["just before", "since", "later"]


def test_where_nothing_is_asked_of_access_nothing_is_withdrawn(tmp_path: Path) -> None:
    assert withdrawn_since(tmp_path, POINT) == ()
