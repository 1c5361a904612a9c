"""etcd with users: who may do what, and how it is switched on.

(etcd docs, role-based access control.)

Three users, each with a role of its own: ``root``, who alone may change members and users; Patroni,
which has the keys of its cluster; the witnesses, with what ``docs/operate/witness.md`` grants them.
Tokens are etcd's default, ``simple``: a member holds them in its memory, for 5 minutes after their
last use and until it ends, and a change of a user ends those of that user. So everybody must be
able to log in again at any moment.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.errors import ClusterError
from cluster.etcd.member import EtcdLogin, EtcdRest
from cluster.patroni.config import ETCD_USER, NAMESPACE, Passwords
from cluster.topology.model import ClusterSettings

ROOT, WITNESS = "root", "witness"
ROOT_ROLE = "root"
"""etcd's own name of the role that may do everything."""
CHANGE_TIMEOUT_S = 10.0
"""etcd hashes a password with bcrypt, which takes some 0.1 s on a machine that is idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a role may do with one key, or with every key that begins with it."""

    key: str
    may_write: bool
    is_prefix: bool

    @property
    def permission(self) -> dict[str, str]:
        """As etcd's gateway wants it."""
        found = {"permType": "READWRITE" if self.may_write else "READ", "key": _coded(self.key)}
        if self.is_prefix:
            found["range_end"] = _coded(self.key[:-1] + chr(ord(self.key[-1]) + 1))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdUser:
    """A user, and what its role of the same name may do; root's role needs no grants."""

    name: str
    password: str = field(repr=False)
    grants: tuple[Grant, ...] = ()


def users_of(settings: ClusterSettings, passwords: Passwords) -> tuple[EtcdUser, ...]:
    """The users of a cluster with these settings, root the last."""
    prefix = f"{NAMESPACE}{settings.scope}/"

    def grant(key: str, *, may_write: bool = True) -> Grant:
        return Grant(key=key, may_write=may_write, is_prefix=key.endswith("/"))

    patroni = EtcdUser(name=ETCD_USER, password=passwords.etcd_patroni, grants=(grant(prefix),))
    witness = EtcdUser(
        name=WITNESS,
        password=passwords.etcd_witness,
        grants=(
            grant(f"/witness/{settings.scope}/"),
            grant(prefix, may_write=False),
            grant(f"{prefix}members/"),
            grant(f"{prefix}leader"),
        ),
    )
    root = EtcdUser(name=ROOT, password=passwords.etcd_root)
    return (patroni, *([witness] if settings.witness else []), root)


def root_login(passwords: Passwords) -> EtcdLogin:
    """Who an operator is to an etcd with users."""
    return EtcdLogin(user=ROOT, password=passwords.etcd_root)


def calls_to_enable(users: tuple[EtcdUser, ...]) -> Iterator[tuple[str, dict[str, object]]]:
    """The calls of etcd's gateway that make the users and switch authentication on."""
    for user in users:
        role = ROOT_ROLE if user.name == ROOT else user.name
        yield "/v3/auth/user/add", {"name": user.name, "password": user.password}
        yield "/v3/auth/role/add", {"name": role}
        for grant in user.grants:
            yield "/v3/auth/role/grant", {"name": role, "perm": grant.permission}
        yield "/v3/auth/user/grant", {"user": user.name, "role": role}
    yield "/v3/auth/enable", {}


async def enable(etcd: EtcdRest, host: str, users: tuple[EtcdUser, ...]) -> None:
    """Make the users of an etcd that has none, and switch authentication on.

    Args:
        etcd: how to ask.
        host: whose member is asked; it must be healthy.
        users: with root among them.

    Raises:
        ClusterError: a call was refused or not answered, or keys can still be read without a user.
    """
    for path, body in calls_to_enable(users):
        if await etcd.call(host, path, body, timeout_s=CHANGE_TIMEOUT_S) is None:
            shown = {key: value for key, value in body.items() if key != "password"}
            words = f"etcd on {host} did not do {path} of {json.dumps(shown)}"
            raise ClusterError(words, host=host)
    anonymous = etcd.without_login()
    try:
        if await anonymous.call(host, "/v3/kv/range", {"key": _coded(NAMESPACE)}) is not None:
            raise ClusterError(f"etcd on {host} answers without a user", host=host)
    finally:
        await anonymous.aclose()


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode()
