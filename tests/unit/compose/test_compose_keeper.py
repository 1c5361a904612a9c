"""Whose a project is."""

from __future__ import annotations

from cluster.compose.keeper import DRILL, KEEPER, OWNER, RUN, labels


def test_everything_of_a_run_is_labelled() -> None:
    assert labels("a1", "k") == {OWNER: DRILL, RUN: "a1", KEEPER: "k"}
