"""What nftables is told: each rule at one router, and nowhere else."""

from __future__ import annotations

import re

from cluster.substrates.base import DropRule
from cluster.substrates.lab.packet_filter import plan_filter
from cluster.topology.load import find_topology

THREE = find_topology("three-sites")
NOTHING = "table ip bascule\ndelete table ip bascule\n"
A, NEIGHBOUR, B = "db-paris", "dcs-paris", "db-orsay"


def lines(*rules: DropRule) -> dict[str, list[str]]:
    """The rules at each router that has some."""
    found = {}
    for router, text in plan_filter(THREE, rules).items():
        assert text.startswith(NOTHING)
        if text != NOTHING:
            found[router] = [line for line in text.splitlines() if re.search(r"\bdrop$", line)]
    return found


def test_without_rules_nothing_is_left_of_them() -> None:
    assert set(plan_filter(THREE, []).values()) == {NOTHING}


def test_a_rule_is_in_force_where_its_sources_are() -> None:
    assert lines(DropRule(sources=(A,))) == {
        "router-paris": ["ip saddr { 10.77.1.11 } counter drop"]
    }
    assert lines(DropRule(sources=(A, NEIGHBOUR), targets=(B,))) == {
        "router-paris": ["ip saddr { 10.77.1.11, 10.77.1.12 } ip daddr { 10.77.2.11 } counter drop"]
    }
    both = lines(DropRule(sources=(A, B), targets=(NEIGHBOUR,)))
    assert both == {
        "router-paris": ["ip saddr { 10.77.1.11 } ip daddr { 10.77.1.12 } counter drop"],
        "router-orsay": ["ip saddr { 10.77.2.11 } ip daddr { 10.77.1.12 } counter drop"],
    }


def test_a_rule_for_everybodys_packets_is_where_its_targets_are() -> None:
    assert lines(DropRule(targets=(B,))) == {
        "router-orsay": ["ip daddr { 10.77.2.11 } counter drop"]
    }


def test_a_port_is_either_end_and_a_share_is_drawn_by_the_kernel() -> None:
    rule = DropRule(targets=(A,), ports=(2379, 2380), percent=12.5)
    assert lines(rule) == {
        "router-paris": [
            f"ip daddr {{ 10.77.1.11 }} meta l4proto {{ tcp, udp }} th {end} {{ 2379, 2380 }}"
            " numgen random mod 1000 < 125 counter drop"
            for end in ("dport", "sport")
        ]
    }
