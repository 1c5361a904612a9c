"""A cluster, its witnesses and its clients as states and steps, small enough to try every order.

Time does not exist here: every process takes its next step at any time or never, so a slow or a
frozen one needs nothing of its own, and a message that is lost is a step that is never taken. What
Patroni does is written as its ``ha.py`` (4.1) has it; what a witness does is ``decide`` itself.

A node is a replica (``upstream``: whom it streams from) or a primary (``reign``: the revision of
the lease that it leads under). A write is a number; WAL is a tuple of them, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from support.witness.eyes import Decide, Sight, judged_by
from support.witness.race import Answered, SyncRule, can_win, has_let_go, names_of_winner

from replication.witness.decide import decide
from replication.witness.model import EndLease, Suspect

LetGo = Callable[[int, Iterable[int], SyncRule], bool]


class Node(NamedTuple):
    """One member. ``judged``: its last look said that it may win. ``won``: it took this lease and
    is not promoted yet; ``rule``: the sync key as it was then, ``sealed``: it wrote that again;
    ``opened``: nothing is between it and the promotion.
    ``names``, ``need``: a primary's ``ANY need (names)``. ``draft``: a sync key that it is about to
    write over the revision it has read, and ``wide``: one that it has written, by which it has not
    set its names yet."""

    wal: tuple[int, ...] = ()
    upstream: int | None = None
    reign: int | None = None
    judged: bool = False
    won: int | None = None
    names: frozenset[int] = frozenset()
    need: int = 0
    rule: SyncRule | None = None
    sealed: bool = False
    opened: bool = False
    draft: tuple[SyncRule, int] | None = None
    wide: SyncRule | None = None


class Lease(NamedTuple):
    """The leader key: who holds it, at which revision."""

    holder: int
    revision: int


class Written(NamedTuple):
    """A write: by whom, in which reign, who has told its writer of it, whether the client knows."""

    node: int
    reign: int
    told: frozenset[int] = frozenset()
    acknowledged: bool = False


class State(NamedTuple):
    """Everything. ``leases``, ``silences``, ``acts``: how many there have been. ``silent``: members
    that take no step. ``votes``: one a site. ``sent``: transactions on their way to etcd.
    ``wrong``: what must not be."""

    nodes: tuple[Node, ...]
    lease: Lease | None
    leases: int
    sync: SyncRule
    sync_revision: int
    votes: tuple[Lease | None, ...]
    writes: tuple[Written, ...] = ()
    silent: frozenset[int] = frozenset()
    silences: int = 0
    sent: frozenset[EndLease] = frozenset()
    acts: int = 0
    wrong: str | None = None


Step = tuple[str, State]


@dataclass(frozen=True, kw_only=True)
class World:
    """What is modelled, and what may happen in it.

    ``outside``: how many replicas the sync key does not name. ``need``: how many must acknowledge.

    ``waits``: a winner is promoted only once ``has_let_go``. ``late``: a silent primary may come
    back at any time, in the middle of the race too; else only once nobody streams from it any more,
    or when nobody was put in its place. ``expiry``: a lease may end at any time and for no reason,
    only not between the taking of the key and the promotion (Patroni's ttl is longer than that).

    ``drafts``: a primary that takes a standby into the sync key may sleep between reading and
    writing it, and before it sets its names. ``seals``: a winner that waits writes the sync key
    again first, as it is, if nobody has changed it since the taking of the lease. ``dozes``: it may
    sleep between the last look of its gate and the promotion, for longer than its lease.

    ``decide``, ``compares``, ``let_go``: what a witness decides, whether its transaction compares
    revisions, and what a winner waits for; mutants set them. ``looks_for``: what counts as wrong,
    by its first word.
    """

    nodes: int = 3
    outside: int = 0
    need: int = 1
    sites: int = 3
    writes: int = 2
    leases: int = 3
    silences: int = 1
    acts: int = 1
    mode: str = "quorum"
    waits: bool = False
    late: bool = False
    expiry: bool = False
    drafts: bool = False
    seals: bool = False
    dozes: bool = False
    compares: bool = True
    decide: Decide = field(default=decide)
    let_go: LetGo = field(default=has_let_go)
    looks_for: tuple[str, ...] = ("lost", "split", "disagreed")

    def start(self) -> State:
        """Node 0 is the primary, the others stream from it, and all is well."""
        standbys = frozenset(range(1, self.nodes - self.outside))
        sync = SyncRule(0, standbys, len(standbys) - self.need)
        primary = Node(reign=1, names=standbys, need=self.need)
        if self.mode != "quorum":
            sync, primary = SyncRule(None, frozenset(), 0), Node(reign=1)
        return State(
            nodes=(primary, *(Node(upstream=0) for _ in range(1, self.nodes))),
            lease=Lease(0, 1),
            leases=1,
            sync=sync,
            sync_revision=1,
            votes=(None,) * self.sites,
        )

    def steps(self, state: State) -> Iterator[Step]:
        """What can happen next: in words, and what is then."""
        for me in range(self.nodes):
            if me not in state.silent:
                yield from self._writes(state, me)
                if state.nodes[me].reign is None:
                    yield from self._streams(state, me)
                    yield from self._replica_looks(state, me)
                else:
                    yield from self._primary_looks(state, me)
        yield from self._witnesses(state)
        yield from self._weather(state)

    def _writes(self, state: State, me: int) -> Iterator[Step]:
        """A client writes to a primary. It is acknowledged at once where nobody must."""
        node = state.nodes[me]
        if node.reign is None or len(state.writes) == self.writes:
            return
        write = len(state.writes)
        after = _with(state, me, node._replace(wal=(*node.wal, write)))
        after = after._replace(writes=(*state.writes, Written(me, node.reign)))
        yield f"{me} writes {write}", self._acknowledged(after, write)

    def _streams(self, state: State, me: int) -> Iterator[Step]:
        """A replica receives the next write, has it on disk, and tells whom it streams from."""
        node = state.nodes[me]
        if node.upstream is None or node.upstream in state.silent:
            return
        source = state.nodes[node.upstream].wal
        if len(source) <= len(node.wal) or source[: len(node.wal)] != node.wal:
            return
        write = source[len(node.wal)]
        after = _with(state, me, node._replace(wal=(*node.wal, write)))
        written = state.writes[write]
        if written.node == node.upstream:
            told = written._replace(told=written.told | {me})
            after = after._replace(writes=_put(state.writes, write, told))
        yield f"{me} receives {write} from {node.upstream}", self._acknowledged(after, write)

    def _acknowledged(self, state: State, write: int) -> State:
        """The client is told as soon as enough have told the writer: never later than in life."""
        written = state.writes[write]
        writer = state.nodes[written.node]
        if written.acknowledged or writer.reign != written.reign:
            return state
        if len(written.told & writer.names) < writer.need:
            return state
        state = state._replace(
            writes=_put(state.writes, write, written._replace(acknowledged=True))
        )
        for name, node in enumerate(state.nodes):
            if node.reign is not None and node.reign > written.reign and write not in node.wal:
                return _wrong(state, f"lost: {write} is acknowledged, and primary {name} lacks it")
        return state

    def _replica_looks(self, state: State, me: int) -> Iterator[Step]:
        """One loop of a replica's Patroni, in the halves between which it may sleep."""
        node, lease = state.nodes[me], state.lease
        if node.won is not None:
            yield from self._gate(state, me)
            if lease is not None and lease.holder == me:
                if self.waits:
                    after = _with(state, me, node._replace(won=None, rule=None, sealed=False))
                    yield f"{me} gives the key back", after._replace(lease=None)
                return
        if lease is None:
            if node.judged and node.won is None and state.leases < self.leases:
                taken = Lease(me, state.leases + 1)
                rule = state.sync if self.drafts else None
                won = node._replace(judged=False, won=taken.revision, rule=rule, sealed=False)
                after = _with(state, me, won)
                yield f"{me} takes the key", after._replace(lease=taken, leases=taken.revision)
            if not node.judged and node.won is None and self._may_win(state, me):
                yield f"{me} may win", _with(state, me, node._replace(judged=True))
            if node.upstream is not None or node.won is not None:
                lone = node._replace(upstream=None, won=None, rule=None, sealed=False)
                yield f"{me} follows nobody", _with(state, me, lone._replace(opened=False))
        elif lease.holder != me:
            after = _with(state, me, _following(state, node, lease))
            if after != state:
                yield f"{me} follows {lease.holder}", after

    def _gate(self, state: State, me: int) -> Iterator[Step]:
        """What a winner may do next on its way to the promotion."""
        node = state.nodes[me]
        assert node.won is not None, "it has the key"
        if self.seals and not node.sealed:
            if node.rule == state.sync:
                after = _with(state, me, node._replace(sealed=True))
                after = after._replace(sync_revision=state.sync_revision + 1)
                yield f"{me} seals the sync key", after
        elif node.opened:
            yield f"{me} is promoted", self._promoted(state, me, node.won)
        elif not self.waits or self.let_go(me, _attached(state, me), state.sync):
            if self.dozes:
                holds = state.lease == Lease(me, node.won)
                if holds:
                    yield f"the gate of {me} opens", _with(state, me, node._replace(opened=True))
            else:
                yield f"{me} is promoted", self._promoted(state, me, node.won)

    def _may_win(self, state: State, me: int) -> bool:
        """Whether the answers of some of the others, the rest being lost, let it win."""
        others = [one for one in range(self.nodes) if one != me and one not in state.silent]
        position = len(state.nodes[me].wal)
        said = {
            one: Answered(state.nodes[one].reign is not None, len(state.nodes[one].wal))
            for one in others
        }
        return any(
            can_win(me, position, {one: said[one] for one in some}, state.sync)
            for count in range(len(others) + 1)
            for some in combinations(others, count)
        )

    def _promoted(self, state: State, me: int, reign: int) -> State:
        """It is a primary now, and must have every write that an earlier one acknowledged."""
        names, need = names_of_winner(me, state.nodes[me].rule or state.sync)
        node = Node(wal=state.nodes[me].wal, reign=reign, names=names, need=need)
        return _checked_winner(_with(state, me, node), me)

    def _primary_looks(self, state: State, me: int) -> Iterator[Step]:
        """One loop of a primary's Patroni: it leads, takes the free key again, or steps down."""
        node, lease = state.nodes[me], state.lease
        if node.draft is not None or node.wide is not None:  # it is one thread
            yield from self._writes_draft(state, me)
            return
        if lease is not None and lease.holder == me:
            after = self._synced(state, me)
            if self.drafts and after.sync.members > state.sync.members:
                draft = node._replace(draft=(after.sync, state.sync_revision))
                yield f"{me} drafts a sync key", _with(state, me, draft)
            elif after != state:
                yield f"{me} writes the sync key", after
            return
        newest = max(one.reign or 0 for one in state.nodes)
        if lease is None and node.reign == newest:
            if state.leases < self.leases:
                taken = Lease(me, state.leases + 1)
                after = _with(state, me, node._replace(reign=taken.revision))
                after = after._replace(lease=taken, leases=taken.revision)
                yield f"{me} takes the key again", _checked_winner(after, me)
            return
        yield f"{me} steps down", _with(state, me, Node(wal=node.wal))

    def _writes_draft(self, state: State, me: int) -> Iterator[Step]:
        """A standby comes into the sync key first, and then into the names (``quorum.py``)."""
        node = state.nodes[me]
        if node.draft is not None:
            rule, revision = node.draft
            after = _with(state, me, node._replace(draft=None))
            if revision == state.sync_revision:
                after = _with(state, me, node._replace(draft=None, wide=rule))
                after = after._replace(sync=rule, sync_revision=revision + 1)
            yield f"{me} writes what it drafted", after
        elif node.wide is not None:
            need = len(node.wide.standbys) - node.wide.quorum
            wide = node._replace(names=node.wide.standbys, need=need, wide=None)
            yield f"{me} waits for {sorted(node.wide.standbys)}", _with(state, me, wide)

    def _synced(self, state: State, me: int) -> State:
        """The leader names those that stream from it, once they have all that was acknowledged.

        Patroni does it in several steps (``quorum.py``); between them its sync key demands more.
        """
        standbys = frozenset(_attached(state, me))
        has_all = all(
            write in state.nodes[one].wal
            for write, written in enumerate(state.writes)
            for one in standbys
            if written.acknowledged
        )
        if state.sync.leader is None or not standbys or not has_all:
            return state
        need = min(self.need, len(standbys))
        sync = SyncRule(me, standbys, len(standbys) - need)
        if sync == state.sync:
            return state
        after = _with(state, me, state.nodes[me]._replace(names=standbys, need=need))
        return after._replace(sync=sync, sync_revision=state.sync_revision + 1)

    def _witnesses(self, state: State) -> Iterator[Step]:
        """A witness looks and decides, or a transaction arrives. Site 0 errs whenever it likes."""
        lease = state.lease
        for act in state.sent:
            yield f"the transaction about {act.leader} arrives", self._ended(state, act)
        if lease is not None and state.acts < self.acts:
            for site in range(self.sites):
                if site != 0 and lease.holder not in state.silent:
                    continue
                sight = Sight(
                    site=site,
                    sites=self.sites,
                    nodes=self.nodes,
                    mode=self.mode,
                    holder=lease.holder,
                    revision=lease.revision,
                    sync=state.sync,
                    sync_revision=state.sync_revision,
                    silent=state.silent,
                    votes=tuple(state.votes),
                )
                decision = judged_by(self.decide, sight)
                if isinstance(decision, Suspect) and state.votes[site] != lease:
                    votes = (*state.votes[:site], lease, *state.votes[site + 1 :])
                    yield f"site {site} votes against {lease}", state._replace(votes=votes)
                elif isinstance(decision, EndLease):
                    after = state._replace(sent=state.sent | {decision}, acts=state.acts + 1)
                    yield f"site {site} sends its transaction", after

    def _ended(self, state: State, act: EndLease) -> State:
        """etcd applies the transaction, or refuses it."""
        lease = state.lease
        after = state._replace(sent=state.sent - {act})
        is_same = (
            lease is not None
            and act.leader_revision == lease.revision
            and act.sync_revision == state.sync_revision
        )
        if lease is None or (self.compares and not is_same):
            return after
        after = after._replace(lease=None)
        agreed = sum(vote == lease for vote in state.votes)
        if agreed <= self.sites // 2:
            return _wrong(after, f"disagreed: {agreed} of {self.sites} sites were against {lease}")
        return after

    def _weather(self, state: State) -> Iterator[Step]:
        """Members fall silent and come back; a lease ends by itself."""
        lease = state.lease
        holder = None if lease is None else state.nodes[lease.holder]
        if self.expiry and holder is not None and (holder.won is None or holder.opened):
            yield "the lease ends by itself", state._replace(lease=None)
        if state.silences < self.silences:
            for name in sorted(set(range(self.nodes)) - state.silent):
                after = state._replace(silent=state.silent | {name}, silences=state.silences + 1)
                yield f"{name} falls silent", after
        for name in sorted(state.silent):
            if self.late or self._may_return(state, name):
                votes = tuple(v if v is None or v.holder != name else None for v in state.votes)
                after = state._replace(silent=state.silent - {name})
                yield f"{name} is back", after if self.late else after._replace(votes=votes)

    def _may_return(self, state: State, name: int) -> bool:
        """Where nobody comes back late: not while others race for its place."""
        reign = state.nodes[name].reign
        if reign is None:
            return True
        if state.lease is not None and state.lease.holder == name:
            return not state.sent
        is_replaced = any((node.reign or 0) > reign for node in state.nodes)
        return is_replaced and not _attached(state, name)


def split(state: State) -> str | None:
    """Two primaries that can both acknowledge, in words; ``None``: there are none."""
    primaries = [
        name
        for name, node in enumerate(state.nodes)
        if node.reign is not None and name not in state.silent
    ]
    if len(primaries) < 2:
        return None
    able = [
        name
        for name in primaries
        if len(state.nodes[name].names & frozenset(_attached(state, name)))
        >= max(state.nodes[name].need, 1)
    ]
    return f"split: {able} can all acknowledge" if len(able) > 1 else None


def _attached(state: State, name: int) -> list[int]:
    """Who streams from it."""
    return [one for one, node in enumerate(state.nodes) if node.upstream == name]


def _following(state: State, node: Node, lease: Lease) -> Node:
    """The node as it follows the holder, after a rewind if that has been promoted and WAL differs.

    One that is ahead of a replica streams from nobody here. PostgreSQL would let it stream, from
    the beginning of a segment on; a winner that waits asks for its position and does not count it.
    """
    holder = state.nodes[lease.holder]
    if holder.wal[: len(node.wal)] == node.wal:
        return Node(wal=node.wal, upstream=lease.holder)
    if holder.reign != lease.revision:
        return Node(wal=node.wal)
    common = 0
    while node.wal[common : common + 1] == holder.wal[common : common + 1]:
        common += 1
    return Node(wal=node.wal[:common], upstream=lease.holder)


def _checked_winner(state: State, me: int) -> State:
    """The state; wrong if the leader lacks what was acknowledged before its reign."""
    node = state.nodes[me]
    for write, written in enumerate(state.writes):
        if written.acknowledged and written.node != me and write not in node.wal:
            return _wrong(state, f"lost: {write} was acknowledged, and the winner {me} lacks it")
    return state


def _wrong(state: State, wrong: str) -> State:
    return state._replace(wrong=state.wrong or wrong)


def _with(state: State, me: int, node: Node) -> State:
    return state._replace(nodes=(*state.nodes[:me], node, *state.nodes[me + 1 :]))


def _put(writes: tuple[Written, ...], write: int, written: Written) -> tuple[Written, ...]:
    return (*writes[:write], written, *writes[write + 1 :])
