"""Topologies from the configuration of real clusters: the shapes in which they are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import TopologyError
from cluster.topology.importing.cluster import Imported, import_topology
from cluster.topology.load import load_topology, to_toml
from cluster.topology.model import Topology
from cluster.topology.tags import Tags

PATRONI_EXAMPLE = """
scope: batman
name: postgresql{n}
restapi:
  listen: 127.0.0.1:{rest}
  connect_address: 127.0.0.1:{rest}
etcd:
  host: 127.0.0.1:2379
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: data/postgresql{n}
tags:
  nofailover: false
  noloadbalance: false
"""
"""As the files in Patroni's repository: every member and etcd on one address."""

PIGSTY = """
scope: pg-test
namespace: /pg
name: pg-test-{n}
log: {{level: INFO, dir: /pg/log/patroni}}
restapi: {{listen: "0.0.0.0:8008", connect_address: "10.10.10.1{n}:8008"}}
etcd3:
  hosts: '10.10.10.10:2379,10.10.10.20:2379,10.10.10.30:2379'
  protocol: https
  cacert: /pg/cert/ca.crt
bootstrap:
  dcs:
    loop_wait: 10
    ttl: 30
    primary_start_timeout: 10
    primary_stop_timeout: 30
    retry_timeout: 10
    maximum_lag_on_failover: 1048576
    maximum_lag_on_syncnode: -1
    synchronous_mode: false
    synchronous_mode_strict: false
    failsafe_mode: false
    postgresql:
      use_slots: true
      use_pg_rewind: true
      parameters: {{max_standby_streaming_delay: 3min, hot_standby_feedback: 'on'}}
watchdog: {{mode: automatic, device: /dev/watchdog}}
postgresql:
  connect_address: 10.10.10.1{n}:5432
  parameters: {{wal_keep_size: 10GB}}
tags: {{nofailover: false, clonefrom: true, datacenter: {site}}}
"""
"""A list of etcd in one string, TLS, a watchdog, a tag that says where a member is."""

AUTOBASE = """
scope: "postgres-cluster"
namespace: /service/
name: pgnode0{n}
restapi: {{connect_address: "10.128.64.14{n}:8008"}}
etcd3:
  protocol: http
  hosts:
    - 10.128.64.141:2379
    - 10.128.64.142:2379
    - 10.128.64.143:2379
bootstrap:
  method: initdb
  dcs:
    ttl: 30
    loop_wait: 10
    retry_timeout: 10
    master_start_timeout: 300
    synchronous_mode: true
    synchronous_mode_strict: false
    synchronous_node_count: 1
postgresql: {{connect_address: "10.128.64.14{n}:5432"}}
"""
"""etcd on the members' own machines, the older names of settings."""

FERLAB = """
scope: patroni
name: Server_{n}
restapi: {{connect_address: "192.168.0.{n}:4443", certfile: /etc/patroni/tls/server.crt}}
etcd3: {{protocol: https, username: patroni, hosts: ["192.168.0.101:2379", "192.168.0.102:2379",
  "192.168.0.103:2379"]}}
bootstrap:
  dcs:
    ttl: 15
    loop_wait: 5
    retry_timeout: 5
    master_start_timeout: 60
    synchronous_mode: quorum
    synchronous_mode_strict: true
    synchronous_node_count: 1
    postgresql: {{use_pg_rewind: false, use_slots: true}}
postgresql: {{connect_address: "192.168.0.{n}:5432"}}
"""
"""Strict, with a ttl that Patroni raises by itself, and names that are no host names."""

SHOWN_CONFIG = "loop_wait: 2\nttl: 20\nretry_timeout: 4\nsynchronous_mode: quorum\n"


def imported(template: str, at: str = "abc", *more: tuple[str, str], **asked: object) -> Imported:
    files = [
        (
            f"{n}.yml",
            template.format(n=n, rest=8008 + n, port=5432 + n, site=f"dc-{site}"),
        )
        for n, site in enumerate(at, start=1)
    ]
    return import_topology([*files, *more], **asked)  # type: ignore[arg-type]


def shape(topology: Topology) -> dict[str, dict[str, tuple[str, ...]]]:
    return {site.name: {h.name: h.roles for h in site.hosts} for site in topology.sites}


def refused(template: str, at: str = "abc", *more: tuple[str, str], **asked: object) -> str:
    with pytest.raises(TopologyError) as caught:
        imported(template, at, *more, **asked)
    return str(caught.value)


def test_members_that_share_one_address_have_a_machine_each() -> None:
    found = imported(PATRONI_EXAMPLE)
    assert shape(found.topology) == {
        "site-1": {
            "postgresql1": ("postgres",),
            "postgresql2": ("postgres",),
            "postgresql3": ("postgres",),
            "dcs-1": ("etcd",),
            "app-site-1": ("client",),
        }
    }
    settings = found.topology.cluster
    assert (settings.scope, settings.durability, settings.ttl_s) == ("batman", "async", 30)
    [words] = found.left_out
    assert words.startswith("which site a member is in stands in no file")


def test_a_tag_says_where_members_are_and_what_cannot_be_said_is_told() -> None:
    found = imported(PIGSTY)
    assert list(shape(found.topology)) == ["dc-a", "dc-b", "dc-c"]
    assert shape(found.topology)["dc-b"] == {"pg-test-2": ("postgres",), "app-dc-b": ("client",)}
    assert shape(found.topology)["dc-a"] == {
        "pg-test-1": ("postgres",),
        "dcs-1": ("etcd",),
        "dcs-2": ("etcd",),
        "dcs-3": ("etcd",),
        "app-dc-a": ("client",),
    }
    assert found.topology.cluster.primary_start_timeout_s == 10
    said = "\n".join(found.left_out)
    assert "watchdog: " in said
    assert found.topology.cluster.postgresql == {
        "hot_standby_feedback": "on",
        "max_standby_streaming_delay": "3min",
    }
    assert "wal_keep_size = 10GB" in said
    assert "tag " not in said
    assert all(found.topology.host(f"pg-test-{n}").tags == Tags(clonefrom=True) for n in (1, 2, 3))
    assert "where dcs-1, dcs-2, dcs-3 of etcd are stands in no file" in said
    assert "failsafe_mode" not in said
    assert not found.topology.cluster.failsafe_mode


def test_etcd_on_the_machine_of_a_member_shares_its_host() -> None:
    sites = {"paris": ["pgnode01"], "orsay": ["10.128.64.142"], "lyon": ["pgnode03"]}
    found = imported(AUTOBASE, sites=sites)
    assert shape(found.topology) == {
        "paris": {"pgnode01": ("postgres", "etcd"), "app-paris": ("client",)},
        "orsay": {"pgnode02": ("postgres", "etcd"), "app-orsay": ("client",)},
        "lyon": {"pgnode03": ("postgres", "etcd"), "app-lyon": ("client",)},
    }
    assert found.topology.cluster.durability == "quorum"
    assert found.topology.cluster.primary_start_timeout_s == 300
    assert found.topology.cluster.synchronous_mode == "on"
    assert not found.topology.cluster.synchronous_mode_strict
    assert found.left_out == ()


def test_what_patroni_raises_is_raised_and_names_become_host_names() -> None:
    found = imported(FERLAB)
    assert list(shape(found.topology)["site-1"])[:3] == ["server-1", "server-2", "server-3"]
    assert found.topology.cluster.ttl_s == 20
    assert found.left_out[0] == "ttl is 15: Patroni itself raises it to 20, as is done here"
    assert not found.topology.cluster.use_pg_rewind
    assert found.topology.cluster.use_slots
    assert not any("synchronous_mode" in words for words in found.left_out)


def test_members_that_differ_are_told() -> None:
    one, *others = ["max_standby_streaming_delay: 3min", "max_standby_streaming_delay: 30s"]
    files = [
        ("1.yml", PIGSTY.format(n=1, site="a")),
        ("2.yml", PIGSTY.format(n=2, site="b").replace(one, others[0])),
    ]
    found = import_topology(files)
    assert "max_standby_streaming_delay" not in found.topology.cluster.postgresql
    words = "max_standby_streaming_delay is 3min and 30s: here every member has the same"
    assert words in found.left_out


def test_failsafe_mode_is_taken_over() -> None:
    found = imported(PIGSTY.replace("failsafe_mode: false", "failsafe_mode: true"))
    assert found.topology.cluster.failsafe_mode


TAGGED = """
scope: tagged
name: pg_{n}
etcd3: {{hosts: ["10.0.0.9:2379"]}}
bootstrap:
  dcs:
    synchronous_mode: quorum
    synchronous_mode_strict: true
    maximum_lag_on_syncnode: 1048576
    member_slots_ttl: 10min
    postgresql: {{use_pg_rewind: true, use_slots: false}}
postgresql: {{connect_address: "10.0.0.{n}:5432"}}
tags: {tags}
"""


def test_tags_are_taken_over() -> None:
    tags = [
        "{}",
        "{failover_priority: 2, sync_priority: '3'}",
        "{nosync: 'true', replicatefrom: pg_2, noloadbalance: true, rack: r7}",
        "{nofailover: true, failover_priority: 5, nostream: true, replicatefrom: pg_9}",
    ]
    found = import_topology(
        [(f"{n}.yml", TAGGED.format(n=n, tags=own)) for n, own in enumerate(tags, start=1)]
    )
    assert found.topology.tags == {
        "pg-2": Tags(failover_priority=2, sync_priority=3),
        "pg-3": Tags(nosync=True, replicatefrom="pg-2", noloadbalance=True),
        "pg-4": Tags(nofailover=True),
    }
    settings = found.topology.cluster
    assert settings.maximum_lag_on_syncnode_bytes == 1048576
    assert settings.member_slots_ttl_s == 600
    assert (settings.use_pg_rewind, settings.use_slots) == (True, False)
    assert [words for words in found.left_out if words.startswith("tag ")] == [
        "tag failover_priority = 5 of pg_4: contradicts nofailover = true, which Patroni heeds",
        "tag replicatefrom = pg_9 of pg_4: there is no other member of that name",
        "tag nostream of pg_4: it lives on an archive; here it streams",
        "tag rack = r7 of pg_3: it has no meaning here",
    ]


def test_the_settings_in_force_come_before_those_of_the_bootstrap() -> None:
    found = imported(PATRONI_EXAMPLE, "abc", ("shown.yml", SHOWN_CONFIG))
    settings = found.topology.cluster
    assert (settings.ttl_s, settings.loop_wait_s, settings.retry_timeout_s) == (20, 2, 4)
    assert settings.durability == "quorum"


@pytest.mark.parametrize("template", [PATRONI_EXAMPLE, PIGSTY, AUTOBASE, FERLAB])
def test_what_is_written_is_read_back(template: str, tmp_path: Path) -> None:
    topology = imported(template, name="mine").topology
    assert topology.name == "mine"
    (tmp_path / "mine.toml").write_text(to_toml(topology))
    assert load_topology(tmp_path / "mine.toml") == topology


def test_a_template_is_refused_with_the_remedy() -> None:
    template = "scope: {{{{ cluster }}}}\nname: {{{{ inventory_hostname }}}}\n"
    assert "1.yml: a template, which is filled in on each member" in refused(template)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("x.yml", "a: ["), "x.yml: no YAML with sections in line 1"),
        (("x.yml", "- 1"), "x.yml: no YAML with sections; expected a patroni.yml"),
        (("x.yml", "hello: 1"), "x.yml: neither a member's configuration"),
        (("x.yml", "scope: s\nname: n"), "x.yml: postgresql.connect_address: expected"),
        (("x.yml", "scope: s\nname: true"), "x.yml: name: expected a name"),
        (("x.yml", "scope: s\nname: n\ntags: 3"), "x.yml: postgresql.connect_address"),
        (
            ("x.yml", "scope: s\nname: n\npostgresql: {connect_address: 'a:1'}"),
            "scope: expected members of one cluster; found batman, s",
        ),
        (("x.yml", SHOWN_CONFIG.replace("20", "soon")), "ttl: expected a whole number"),
    ],
)
def test_bad_files_are_refused_by_name(more: tuple[str, str], words: str) -> None:
    assert words in refused(PATRONI_EXAMPLE, "abc", more)


def test_two_members_need_two_names() -> None:
    same = PATRONI_EXAMPLE.replace("postgresql{n}\n", "one\n", 1)
    assert "a name of its own for every member; found twice: one" in refused(same, "ab")


def test_every_host_needs_a_site_when_sites_are_said() -> None:
    words = refused(AUTOBASE, sites={"paris": ["pgnode01", "pgnode02"]})
    assert "--site: expected a site for every host; missing: pgnode03 (10.128.64.143)" in words
    words = refused(AUTOBASE, sites={"paris": ["pgnode01", "db-9"]})
    assert "--site: paris: db-9 is no host of the cluster; there are pgnode01 (" in words
    words = refused(AUTOBASE, sites={"paris": ["pgnode01"], "orsay": ["10.128.64.141"]})
    assert "10.128.64.141 is in two sites" in words


def test_what_no_drill_could_raise_is_refused() -> None:
    two = AUTOBASE.replace("    - 10.128.64.143:2379\n", "")
    assert "2 hosts have the role etcd" in refused(two, "ab")


STANDBY = """
scope: {scope}
name: lyon-{n}
etcd3: {{username: patroni, hosts: ["10.9.0.9:2379"]}}
bootstrap:
  dcs:
    ttl: 30
    standby_cluster: {{host: "10.0.0.1,10.0.0.2", port: 5432, primary_slot_name: lyon}}
postgresql: {{connect_address: "10.9.0.{n}:5432"}}
"""


def test_a_standby_cluster_is_taken_over_beside_the_one_that_it_follows() -> None:
    main = [(f"{n}.yml", TAGGED.format(n=n, tags="{}")) for n in (1, 2)]
    behind = [(f"lyon-{n}.yml", STANDBY.format(n=n, scope="tagged-dr")) for n in (1, 2)]
    found = import_topology([*behind, *main])
    topology = found.topology
    assert {site.name: site.standby for site in topology.sites} == {
        "site-1": False,
        "standby": True,
    }
    assert topology.main.nodes == ("pg-1", "pg-2")
    assert topology.standby is not None
    assert topology.standby.nodes == ("lyon-1", "lyon-2")
    assert [one.name for one in topology.standby.hosts_with("etcd")] == ["standby-dcs-1"]
    assert topology.cluster.scope == "tagged"
    assert topology.cluster.etcd_auth
    assert any(words.startswith("scope tagged-dr of the standby") for words in found.left_out)
    sites = {"paris": ["pg_1", "pg_2", "10.0.0.9"], "lyon": ["lyon-1", "lyon-2", "10.9.0.9"]}
    asked = import_topology([*behind, *main], sites=sites).topology
    assert [site.name for site in asked.sites if site.standby] == ["lyon"]


def test_a_standby_leader_without_a_slot_may_stream_from_a_replica() -> None:
    main = [(f"{n}.yml", TAGGED.format(n=n, tags="{}")) for n in (1, 2)]
    behind = [(f"lyon-{n}.yml", STANDBY.format(n=n, scope="tagged")) for n in (1, 2)]
    assert not any("slot" in words for words in import_topology([*main, *behind]).left_out)
    bare = [(name, text.replace(", primary_slot_name: lyon", "")) for name, text in behind]
    found = import_topology([*main, *bare]).left_out
    assert any(words.startswith("standby_cluster names several hosts and no") for words in found)


def test_a_standby_cluster_needs_sites_of_its_own() -> None:
    main = [(f"{n}.yml", TAGGED.format(n=n, tags="{}")) for n in (1, 2)]
    behind = [(f"lyon-{n}.yml", STANDBY.format(n=n, scope="tagged")) for n in (1, 2)]
    sites = {"paris": ["pg_1", "pg_2", "10.0.0.9", "lyon-1", "lyon-2", "10.9.0.9"]}
    with pytest.raises(TopologyError, match="lyon-1, lyon-2, standby-dcs-1 of the standby cluster"):
        import_topology([*main, *behind], sites=sites)


def test_a_standby_cluster_alone_is_taken_over_as_one_that_leads() -> None:
    found = import_topology([(f"{n}.yml", STANDBY.format(n=n, scope="dr")) for n in (1, 2)])
    assert found.topology.standby is None
    assert any(words.startswith("standby_cluster: the real cluster") for words in found.left_out)


def test_a_user_of_etcd_is_taken_over_without_its_password() -> None:
    assert imported(FERLAB).topology.cluster.etcd_auth
    assert not imported(PIGSTY).topology.cluster.etcd_auth
