"""Sequential objects: what each answers when calls come one at a time.

A checker of linearizability asks for nothing else. States are hashable and compared by value. The
rules are those of Knossos' ``model.clj`` and of the models in Porcupine's tests.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from chaos.consistency import calls
from chaos.consistency.calls import Call


class _NoState(enum.Enum):
    ILLEGAL = "illegal"
    ANY = "any"


ILLEGAL: Final = _NoState.ILLEGAL
"""In place of a state: the object cannot have answered so."""
ANY: Final = _NoState.ANY
"""In place of a state: it may be one of several."""

ObjectState = Hashable


class SequentialObject(Protocol):
    """An object that one call at a time is made on."""

    @property
    def opening(self) -> ObjectState:
        """The state before the first call."""
        ...

    def after(self, state: ObjectState, call: Call) -> ObjectState:
        """The state after a call, or ``ILLEGAL`` when it cannot have answered as it did."""
        ...

    def needs(self, call: Call) -> ObjectState:
        """The only state in which a call can have answered as it did; ``ANY`` if there are more."""
        ...

    def leaves(self, call: Call) -> ObjectState:
        """The only state that a call can leave; ``ANY`` if there are more."""
        ...

    def may_lead(self, state: ObjectState, look: Call) -> bool:
        """Whether calls that are not blind may lead from a state to one in which a look is right.

        True where that is not known.
        """
        ...

    def describe(self, state: ObjectState) -> str:
        """A state in a sentence: "the object is …"."""
        ...


@dataclass(frozen=True, slots=True)
class Register:
    """Read, write, compare-and-set of one value."""

    opening: ObjectState = None

    def after(self, state: ObjectState, call: Call) -> ObjectState:
        """A read sees the last write; a compare-and-set matches, one that missed does not."""
        match call.f, call.value:
            case calls.WRITE, value:
                return value
            case calls.READ, value:
                return state if value == state else ILLEGAL
            case calls.CAS, (expected, new):
                return new if expected == state else ILLEGAL
            case calls.CAS_MISSED, (expected, _):
                return ILLEGAL if expected == state else state
        raise ValueError(f"a register knows no {call.f}")

    def needs(self, call: Call) -> ObjectState:
        """What was read, or expected."""
        match call.f, call.value:
            case calls.READ, value:
                return value
            case calls.CAS, (expected, _):
                return expected
        return ANY

    def leaves(self, call: Call) -> ObjectState:
        """What was written."""
        match call.f, call.value:
            case calls.WRITE, value:
                return value
            case calls.CAS, (_, new):
                return new
        return ANY

    def may_lead(self, state: ObjectState, look: Call) -> bool:
        """Not looked into."""
        return True

    def describe(self, state: ObjectState) -> str:
        """Its value."""
        return calls.shown(state)


@dataclass(frozen=True, slots=True)
class Mutex:
    """A lock that knows only whether it is held, not by whom (Knossos' ``mutex``)."""

    opening: ObjectState = False

    def after(self, state: ObjectState, call: Call) -> ObjectState:
        """Acquired when free, released when held."""
        if call.f == calls.ACQUIRE:
            return ILLEGAL if state else True
        if call.f == calls.RELEASE:
            return False if state else ILLEGAL
        raise ValueError(f"a lock knows no {call.f}")

    def needs(self, call: Call) -> ObjectState:
        """Only a held lock is released, only a free one acquired."""
        return call.f == calls.RELEASE

    def leaves(self, call: Call) -> ObjectState:
        """The other state."""
        return call.f == calls.ACQUIRE

    def may_lead(self, state: ObjectState, look: Call) -> bool:
        """Not looked into."""
        return True

    def describe(self, state: ObjectState) -> str:
        """Held or free."""
        return "held" if state else "free"


@dataclass(frozen=True, slots=True)
class Text:
    """A text under a key that is replaced or appended to (Porcupine's ``kv``)."""

    opening: ObjectState = ""

    def after(self, state: ObjectState, call: Call) -> ObjectState:
        """A read sees the whole text."""
        match call.f, call.value:
            case calls.WRITE, value:
                return value
            case calls.APPEND, str(value):
                return f"{state}{value}"
            case calls.READ, value:
                return state if value == state else ILLEGAL
        raise ValueError(f"a text knows no {call.f} of {calls.shown(call.value)}")

    def needs(self, call: Call) -> ObjectState:
        """Not looked into."""
        return ANY

    def leaves(self, call: Call) -> ObjectState:
        """Not looked into."""
        return ANY

    def may_lead(self, state: ObjectState, look: Call) -> bool:
        """Appends keep what is there: it must be the beginning of what was read."""
        return str(look.value).startswith(str(state))

    def describe(self, state: ObjectState) -> str:
        """The text, its middle left out when it is long."""
        return calls.shown(state)


class MultiRegister:
    """Registers that one call reads and writes several of (Knossos' ``multi-register``)."""

    def __init__(self, keys: Iterable[Hashable], opening: ObjectState = None) -> None:
        self._place = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        self.opening: ObjectState = (opening,) * len(self._place)

    def after(self, state: ObjectState, call: Call) -> ObjectState:
        """The parts of a call one after the other; a read of nil says nothing."""
        assert isinstance(state, tuple)
        assert isinstance(call.value, tuple)
        values = list(state)
        for f, key, value in call.value:
            if f == calls.WRITE:
                values[self._place[key]] = value
            elif value is not None and value != values[self._place[key]]:
                return ILLEGAL
        return tuple(values)

    def needs(self, call: Call) -> ObjectState:
        """Not looked into."""
        return ANY

    def leaves(self, call: Call) -> ObjectState:
        """Not looked into."""
        return ANY

    def may_lead(self, state: ObjectState, look: Call) -> bool:
        """Not looked into."""
        return True

    def describe(self, state: ObjectState) -> str:
        """The value of each key."""
        assert isinstance(state, tuple)
        values = [f"{calls.shown(k)} = {calls.shown(state[i])}" for k, i in self._place.items()]
        return f"({', '.join(values)})"
