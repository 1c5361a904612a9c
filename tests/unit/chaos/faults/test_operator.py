"""The faults of etcd and of the operator: what they refuse, and whom they choose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.faults.failover_by_hand import FailoverByHandParams, furthest_behind, is_no_candidate
from chaos.faults.registry import FAULTS
from cluster.maintenance import parameter, with_parameter
from cluster.patroni.rest import MemberAnswer, Xlog
from cluster.topology.load import find_topology
from cluster.topology.model import Topology

THREE = find_topology("three-sites")


def alone() -> Topology:
    """One site of three: one PostgreSQL, one etcd."""
    return replace(THREE, name="alone", sites=THREE.sites[:1])


def member(role: str = "replica", **positions: int) -> MemberAnswer:
    return MemberAnswer(state="running", role=role, xlog=Xlog(**positions))


def test_the_candidate_is_the_replica_with_the_least_wal() -> None:
    members = {
        "primary": member("primary", location=900),
        "ahead": member(received_location=800, replayed_location=100),
        "behind": member(received_location=0, replayed_location=700),
        "silent": None,
        "unknown": MemberAnswer(state="starting", role="replica"),
    }
    assert furthest_behind(members) == "behind"
    assert furthest_behind({"primary": members["primary"], "silent": None}) is None


def test_a_failover_by_hand_needs_somebody_who_can_take_over() -> None:
    assert is_no_candidate(FailoverByHandParams(), THREE, ()) is None
    assert is_no_candidate(FailoverByHandParams(candidate="db-orsay"), THREE, ()) is None
    found = is_no_candidate(FailoverByHandParams(candidate="dcs-orsay"), THREE, ())
    assert found is not None
    assert found.startswith("dcs-orsay cannot take over: PostgreSQL of three-sites is on db-paris")
    found = is_no_candidate(FailoverByHandParams(), alone(), ())
    assert found == "failover-by-hand needs two PostgreSQL: in the topology alone there is one"


@pytest.mark.parametrize("fault", ["dcs-stop", "dcs-pause", "dcs-wiped"])
def test_a_fault_of_etcd_refuses_hosts_without_it(fault: str) -> None:
    kind = FAULTS[fault]
    assert kind.impossible(kind.params(), THREE, ["dcs-paris"]) is None
    found = kind.impossible(kind.params(), THREE, ["dcs-paris", "db-paris"])
    assert found == f"{fault} would find no etcd: in the topology three-sites db-paris has none"


@pytest.mark.parametrize("fault", ["patroni-restart", "patroni-reinitialize"])
def test_what_restarts_postgresql_refuses_hosts_without_it(fault: str) -> None:
    kind = FAULTS[fault]
    assert kind.impossible(kind.params(), THREE, THREE.nodes) is None
    found = kind.impossible(kind.params(), THREE, ["app-paris"])
    assert found is not None
    assert found.endswith(
        "would find no PostgreSQL: in the topology three-sites app-paris has none"
    )


def test_a_wiped_member_is_replaced_by_two_others() -> None:
    kind = FAULTS["dcs-wiped"]
    found = kind.impossible(kind.params(), alone(), ["dcs-paris"])
    assert found is not None
    assert found.endswith("the topology alone has 1")


def test_a_parameter_is_found_where_it_is_put() -> None:
    assert parameter(with_parameter("max_connections", 7), "max_connections") == 7
    for absent in ({}, {"postgresql": None}, {"postgresql": {"parameters": None}}):
        assert parameter(absent, "max_connections") is None
