"""etcd's users: what each may do, in which order they are made, and who must log in again."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import pytest

from cluster.etcd.member import wants_login
from cluster.etcd.users import calls_to_enable, users_of
from cluster.patroni.config import Passwords
from cluster.topology.load import load_builtin

SETTINGS = load_builtin("three-sites-etcd-auth").cluster
OURS = Passwords()


def test_patroni_may_change_the_keys_of_its_cluster_and_no_other_key() -> None:
    patroni, root = users_of(SETTINGS, OURS)
    assert (patroni.name, root.name) == ("patroni", "root")
    [grant] = patroni.grants
    found = grant.permission
    assert found["permType"] == "READWRITE"
    assert b64decode(found["key"]) == b"/service/warehouse/"
    assert b64decode(found["range_end"]) == b"/service/warehouse0"


def test_witnesses_have_a_user_of_their_own_that_cannot_change_the_configuration() -> None:
    witness = users_of(replace(SETTINGS, witness=True), OURS)[1]
    assert witness.name == "witness"
    writable = {grant.key for grant in witness.grants if grant.may_write}
    assert writable == {
        "/witness/warehouse/",
        "/service/warehouse/members/",
        "/service/warehouse/leader",
    }


def test_authentication_is_switched_on_when_root_is_there_and_may_do_everything() -> None:
    calls = list(calls_to_enable(users_of(SETTINGS, OURS)))
    assert calls[-2:] == [
        ("/v3/auth/user/grant", {"user": "root", "role": "root"}),
        ("/v3/auth/enable", {}),
    ]


def test_no_password_is_shown() -> None:
    shown = f"{OURS!r} {users_of(replace(SETTINGS, witness=True), OURS)!r}"
    secret = (OURS.etcd_root, OURS.etcd_patroni, OURS.etcd_witness)
    assert not [one for one in secret if one in shown]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"error":"etcdserver: invalid auth token","code":16}', True),  # 3.4, after a restart
        (b'{"code":3,"message":"etcdserver: revision of auth store is old"}', True),
        (b'{"error":"etcdserver: user name is empty","code":3}', True),
        (b'{"error":"etcdserver: permission denied","code":7}', True),
        (b'{"error":"etcdserver: request timed out","code":14}', False),
        (b'{"header":{"revision":"7"},"count":"0"}', False),
        (b"404 page not found", False),
    ],
)
def test_an_answer_that_wants_a_login_is_known(answer: bytes, expected: bool) -> None:
    assert wants_login(answer) is expected
