"""The gate: lets the winner of a leader race wait until the old primary can acknowledge nothing.

Run by Patroni as ``postgresql.pre_promote``, with the leader key in the winner's hand; a gate that
fails gives the key back. It is run by ``python -I -S`` and needs the standard library alone: its
start is a part of every failover. The argument is ``docs/operate/witness-safety.md``:

- **The rule is sealed.** The key ``sync`` is written again as it is. Patroni writes it only over
  the revision that it has read, so an old primary that comes back can change it no more: its
  ``synchronous_standby_names`` stay within this rule for ever.
- **Enough have let go.** ``quorum + 1`` of ``{leader} + standbys`` are the winner, or stream from
  it. A standby has one WAL receiver, so they have let go of whom they followed before.
- **None of them is ahead.** Each says *after* that how far its WAL goes: nothing that it ever
  acknowledged to the old primary is missing in the winner.
- **The lease is the same** at the end as at the beginning.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

WAIT_S = 15.0
"""Longer than Patroni's ``loop_wait`` (10 s): a replica whose watch of etcd hangs hears of the
winner so late. Patroni renews the lease meanwhile."""

ETCD_DEADLINE_S = 0.5
REST_DEADLINE_S = 1.0
LOGIN_DEADLINE_S = 3.0
"""For one answer. Patroni's own question of a candidate gets 2 s; etcd hashes passwords slowly."""

LOOK_INTERVAL_S = 0.02
STREAMS = frozenset({"streaming", "catchup"})
"""``pg_stat_replication.state`` of who receives WAL (PostgreSQL manual, 27.2.4)."""

OPEN, SHUT = 0, 1
HTTP_OK = 200

Name = TypeVar("Name", bound=Hashable)
Found = TypeVar("Found")


class GateShut(Exception):
    """The winner must not be promoted; the text says why."""


class Unanswered(Exception):
    """Nobody answered this time; the text says what happened."""


class SyncSaid(NamedTuple):
    """The key ``sync``. ``leader``: ``None``: not in use."""

    text: str
    leader: str | None
    members: frozenset[str]
    quorum: int
    revision: int


class KeysSaid(NamedTuple):
    """What the gate reads of etcd. ``lease``: the revision at which the leader key was made.
    ``keeps_slots``: replicas have slots for each other, so that one can stream from a winner before
    its promotion (Patroni's ``member_slots_ttl``)."""

    leader: str | None
    lease: int
    sync: SyncSaid | None
    rest_urls: Mapping[str, str]
    keeps_slots: bool = True


class ReplicaSaid(NamedTuple):
    """What a member's Patroni says of it. ``position``: how far its WAL goes; ``None``: it is no
    replica that could tell. ``streams``: who receives WAL from it."""

    position: int | None
    streams: frozenset[str]


def has_let_go(me: Name, attached: Iterable[Name], members: frozenset[Name], quorum: int) -> bool:
    """Whether nobody but the winner and its replicas can gather enough acknowledgements.

    A write is acknowledged by ``len(standbys) - quorum`` standbys or more. So many are not left
    once ``quorum + 1`` of those in the sync key are the winner or stream from it: each of them has
    let go of whom it followed before. ``attached``: only those that are not ahead of the winner.
    """
    return len(members & {me, *attached}) >= quorum + 1


def is_rule_of_before(keys: KeysSaid, me: str) -> bool:
    """Whether the sync key is older than the lease, or the winner's own: Patroni has made the
    winner's ``synchronous_standby_names`` of it."""
    sync = keys.sync
    return sync is None or sync.revision < keys.lease or sync.leader == me


def read_keys(pairs: Iterable[Mapping[str, Any]], prefix: str) -> KeysSaid:
    """What the ``kvs`` of etcd's gateway below ``prefix`` say. Names are in lower case."""
    leader, lease, sync, urls, keeps_slots = None, 0, None, {}, True
    for pair in pairs:
        key = base64.b64decode(pair["key"]).decode().removeprefix(prefix)
        text = base64.b64decode(pair.get("value", "")).decode(errors="replace")
        if key == "leader":
            leader, lease = text.lower() or None, int(pair["create_revision"])
        elif key == "sync":
            sync = _read_sync(text, int(pair["mod_revision"]))
        elif key == "config":
            keeps_slots = _keeps_slots(_object(text))
        elif key.startswith("members/"):
            parts = urlsplit(str(_object(text).get("api_url") or ""))
            if parts.hostname:
                urls[key.removeprefix("members/").lower()] = f"{parts.scheme}://{parts.netloc}"
    return KeysSaid(leader, lease, sync, urls, keeps_slots)


def read_replica(text: str) -> ReplicaSaid:
    """What ``GET /patroni`` says (``patroni/api.py``, ``get_postgresql_status``)."""
    said = _object(text)
    xlog = said.get("xlog")
    places = [xlog.get("received_location"), xlog.get("replayed_location")] if xlog else []
    known = [place for place in places if isinstance(place, int)]
    streams = {
        str(one.get("application_name")).lower()
        for one in said.get("replication") or ()
        if one.get("state") in STREAMS
    }
    is_replica = said.get("role") in {"replica", "standby_leader"}
    return ReplicaSaid(max(known) if known and is_replica else None, frozenset(streams))


def _read_sync(text: str, revision: int) -> SyncSaid:
    """``SyncState`` in ``patroni/dcs/__init__.py``."""
    said = _object(text)
    leader = str(said.get("leader") or "").lower() or None
    standbys = str(said.get("sync_standby") or "").lower().split(",")
    members = frozenset(filter(None, (leader, *standbys))) if leader else frozenset()
    return SyncSaid(text, leader, members, int(said.get("quorum") or 0), revision)


def _keeps_slots(dynamic: Mapping[str, Any]) -> bool:
    """``patroni/dcs/__init__.py``, ``_get_members_slots``."""
    postgresql = dynamic.get("postgresql")
    uses_slots = postgresql.get("use_slots", True) if isinstance(postgresql, dict) else True
    is_none = str(dynamic.get("member_slots_ttl", "")).strip() in {"0", "0s", "0min"}
    return not uses_slots or not is_none


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


class Outside(Protocol):
    """What a gate asks and writes; each raises ``Unanswered`` where nobody answers."""

    def read(self) -> KeysSaid:
        """The keys, at one revision."""

    def seal(self, keys: KeysSaid) -> bool:
        """Write the sync key again as it is; False: the keys are no longer what was read."""

    def ask(self, url: str) -> ReplicaSaid:
        """What the member at this address of Patroni says of itself."""


class WinnerGate:
    """One winner's wait.

    Args:
        me: its name.
        outside: etcd and the members.
        wait_s: for how long at the most.
        clock, sleep: monotonic seconds.
    """

    def __init__(
        self,
        me: str,
        outside: Outside,
        *,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._me = me.lower()
        self._outside = outside
        self._clock = clock
        self._sleep = sleep
        self._wait_s = wait_s
        self._deadline_s = clock() + wait_s
        self._first: KeysSaid | None = None

    def wait_open(self) -> str:
        """Wait; returns why the winner may be promoted, in words.

        Raises:
            GateShut: it may not.
        """
        sealed = self._patiently(self._sealed)
        if sealed.sync is None or sealed.sync.leader is None:
            return "no synchronous standby is named: there is nothing to wait for"
        return self._patiently(lambda: self._looked(sealed))

    def _patiently(self, step: Callable[[], Found]) -> Found:
        """The first result of ``step`` that does not ask for more time."""
        while True:
            try:
                return step()
            except Unanswered as error:
                if self._clock() >= self._deadline_s:
                    raise GateShut(f"after {self._wait_s:g} s {error}") from error
            self._sleep(LOOK_INTERVAL_S)

    def _sealed(self) -> KeysSaid:
        """The keys once the rule is sealed, with the revision of the seal.

        An answer that was lost leaves open whether it was: it is sealed again then.
        """
        keys = self._outside.read()
        self._require_lease(keys)
        if self._first is not None:
            self._require_same(self._first, keys)
        elif not is_rule_of_before(keys, self._me):
            raise GateShut("the sync key was written after this lease began: by whom is not known")
        self._first = keys
        if keys.sync is None or keys.sync.leader is None:
            return keys
        if not self._outside.seal(keys):
            raise Unanswered("the keys still change")
        sealed = self._outside.read()
        self._require_same(keys, sealed)
        return sealed

    def _looked(self, sealed: KeysSaid) -> str:
        rule = sealed.sync
        assert rule is not None, "without a rule there is nothing to look for"
        own = self._outside.ask(self._url(sealed, self._me))
        if own.position is None:
            raise Unanswered("this member does not say how far its WAL goes")
        good, ahead = set[str](), set[str]()
        for name in sorted(own.streams & rule.members - {self._me}):
            theirs = self._outside.ask(self._url(sealed, name)).position
            if theirs is not None:
                (good if theirs <= own.position else ahead).add(name)
        if not has_let_go(self._me, good, rule.members, rule.quorum):
            others = f", {', '.join(sorted(ahead))} ahead of it" if ahead else ""
            raise Unanswered(
                f"too few members follow {self._me}: {', '.join(sorted(good)) or 'none'}{others};"
                f" with itself {rule.quorum + 1} of {', '.join(sorted(rule.members))} are needed"
            )
        now = self._outside.read()
        self._require_lease(now)
        self._require_same(sealed, now)
        if now.sync is None or now.sync.revision != rule.revision:
            raise GateShut("the sync key was written meanwhile")
        return f"{', '.join(sorted(good)) or 'nobody else'} let go of the old primary"

    def _require_lease(self, keys: KeysSaid) -> None:
        if keys.leader != self._me:
            raise GateShut(f"the leader key is held by {keys.leader or 'nobody'}")

    @staticmethod
    def _require_same(before: KeysSaid, after: KeysSaid) -> None:
        texts = [one.sync.text if one.sync else None for one in (before, after)]
        if before.lease != after.lease or texts[0] != texts[1]:
            raise GateShut("the lease or the sync key has changed meanwhile")

    @staticmethod
    def _url(keys: KeysSaid, name: str) -> str:
        if name not in keys.rest_urls:
            raise Unanswered(f"etcd has no address of {name}")
        return keys.rest_urls[name]


class HttpDoor(NamedTuple):
    """How addresses are asked: each answer has a deadline, and each connection is a new one.
    ``context``: ``None``: for https the machine's own authorities count."""

    context: ssl.SSLContext | None
    deadline_s: float

    def send(
        self, url: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and text of the answer to a POST of ``body``, or to a GET.

        HTTP/1.0, by hand: to load ``http.client`` takes longer than all that a gate does.

        Raises:
            OSError, ValueError: there is none.
        """
        parts = urlsplit(url)
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.0", f"Host: {parts.netloc}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        request = "\r\n".join([*lines, "", ""]).encode() + content
        end_s = time.monotonic() + self.deadline_s
        address = (host, parts.port or (443 if is_tls else 80))
        one = socket.create_connection(address, timeout=self.deadline_s)
        try:
            if is_tls:
                context = self.context or tls_context(None, None, None)
                one = context.wrap_socket(one, server_hostname=host)
            one.sendall(request)
            answer = b""
            while chunk := one.recv(65536):
                answer += chunk
                one.settimeout(max(0.001, end_s - time.monotonic()))
        finally:
            one.close()
        head, gap, text = answer.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        if not gap or len(words) < 2 or not words[1].isdigit():
            raise ValueError("the answer is no HTTP, or broke off")
        return int(words[1]), text.decode(errors="replace")


class RealOutside:
    """etcd, over its JSON gateway (3.4 or later), and Patroni's REST API."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._urls: list[str] = list(options.etcd)
        self._prefix = f"/{options.namespace.strip('/')}/{options.scope}/"
        self._user = options.user
        self._password_file = options.password_file
        own = (options.ca_file, options.cert_file, options.key_file)
        self._etcd = HttpDoor(tls_context(*own) if any(own) else None, ETCD_DEADLINE_S)
        own = (options.rest_ca_file, options.rest_cert_file, options.rest_key_file)
        self._rest = HttpDoor(tls_context(*own) if any(own) else None, REST_DEADLINE_S)
        self._token: str | None = None

    def read(self) -> KeysSaid:
        """All keys, as the majority of etcd has them."""
        end = self._prefix[:-1] + chr(ord(self._prefix[-1]) + 1)
        found = self._post("kv/range", {"key": _coded(self._prefix), "range_end": _coded(end)})
        return read_keys(found.get("kvs", ()), self._prefix)

    def seal(self, keys: KeysSaid) -> bool:
        """In one transaction that demands the same lease and the same revision."""
        assert keys.sync is not None, "what is not there cannot be sealed"
        leader, sync = _coded(f"{self._prefix}leader"), _coded(f"{self._prefix}sync")
        compare = [
            {"key": leader, "target": "CREATE", "create_revision": str(keys.lease)},
            {"key": sync, "target": "MOD", "mod_revision": str(keys.sync.revision)},
        ]
        put = {"request_put": {"key": sync, "value": _coded(keys.sync.text)}}
        return self._post("kv/txn", {"compare": compare, "success": [put]}).get("succeeded") is True

    def ask(self, url: str) -> ReplicaSaid:
        """``GET /patroni``."""
        try:
            _, text = self._rest.send(url, "/patroni")
        except (OSError, ValueError) as error:
            raise Unanswered(f"Patroni at {url} does not answer ({error!r})") from error
        return read_replica(text)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The first answer of a member; who failed is asked last from then on."""
        errors: list[str] = []
        for url in list(self._urls):
            try:
                if self._user and self._token is None:
                    self._etcd.send(url, "/version")  # for a dead one no login is awaited
                    password = Path(self._password_file).read_text(encoding="utf-8").strip()
                    login = {"name": self._user, "password": password}
                    said = self._send(url, "auth/authenticate", login, LOGIN_DEADLINE_S)
                    self._token = str(said["token"])
                return self._send(url, path, body)
            except (OSError, KeyError, ValueError) as error:
                errors.append(f"{url}: {error!r}")
                self._token = None
                self._urls.remove(url)
                self._urls.append(url)
        raise Unanswered(f"etcd does not answer ({'; '.join(errors)})")

    def _send(
        self, url: str, path: str, body: Mapping[str, Any], deadline_s: float = ETCD_DEADLINE_S
    ) -> dict[str, Any]:
        headers = {"Authorization": self._token} if self._token else {}
        door = self._etcd._replace(deadline_s=deadline_s)
        status, text = door.send(url, f"/v3/{path}", body, headers)
        if status != HTTP_OK:
            raise ValueError(f"status {status}: {text[:200]}")
        return _object(text)


def tls_context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """For https; raises OSError where a file cannot be used."""
    import ssl  # noqa: PLC0415  # only where it is needed: every failover waits for this program

    context = ssl.create_default_context(cafile=ca)
    if cert:
        context.load_cert_chain(cert, key)
    return context


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for; ends the process with 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="gate",
        description="Patroni's pre_promote: exit 0 once the old primary can acknowledge nothing.",
    )
    parser.add_argument("--name", required=True, help="of this member, as Patroni has it")
    parser.add_argument("--scope", required=True, help="Patroni's")
    parser.add_argument("--namespace", default="/service/", help="Patroni's")
    parser.add_argument(
        "--etcd",
        action="append",
        required=True,
        metavar="URL",
        help="each member, own first",
    )
    parser.add_argument("--wait-s", type=float, default=WAIT_S, help="for how long at the most")
    parser.add_argument("--user", help="of etcd; needs --password-file")
    parser.add_argument("--password-file")
    parser.add_argument("--ca-file", help="for https to etcd")
    parser.add_argument("--cert-file", help="for etcd, with --key-file")
    parser.add_argument("--key-file")
    parser.add_argument("--rest-ca-file", help="for https to Patroni's REST API")
    parser.add_argument("--rest-cert-file")
    parser.add_argument("--rest-key-file")
    parser.add_argument(
        "--check", action="store_true", help="only say whether everything can be reached, and end"
    )
    options = parser.parse_args(argv)
    if options.user and not options.password_file:
        parser.error("--user needs --password-file")
    return options


def check(me: str, outside: Outside) -> str:
    """What a gate on this member would go by, in words.

    Raises:
        Unanswered: something cannot be reached.
    """
    keys = outside.read()
    for name, url in keys.rest_urls.items():
        try:
            outside.ask(url)
        except Unanswered as error:
            raise Unanswered(f"{name}: {error}") from error
    if me.lower() not in keys.rest_urls:
        raise Unanswered(f"no member {me}; there are {', '.join(sorted(keys.rest_urls)) or 'none'}")
    if not keys.keeps_slots:
        raise Unanswered(
            "member_slots_ttl is 0: no replica could stream from a winner before its promotion, and"
            " the gate would stay shut at every failover"
        )
    if keys.sync is None or keys.sync.leader is None:
        return "no synchronous standby is named: a gate would open at once"
    return f"{keys.sync.quorum + 1} of {', '.join(sorted(keys.sync.members))} must have let go"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; says on the standard error why."""
    options = options_of(argv)
    began_s = time.monotonic()
    try:
        outside = RealOutside(options)
        if options.check:
            outcome, words = "checked", check(options.name, outside)
        else:
            words = WinnerGate(options.name, outside, wait_s=options.wait_s).wait_open()
            outcome = "open"
    except (GateShut, Unanswered, OSError, ValueError, KeyError) as error:
        print(f'event=gate outcome=shut member={options.name} reason="{error}"', file=sys.stderr)
        return SHUT
    print(
        f"event=gate outcome={outcome} member={options.name}"
        f' took_s={time.monotonic() - began_s:.3f} reason="{words}"',
        file=sys.stderr,
    )
    return OPEN


if __name__ == "__main__":
    sys.exit(main())
