"""Functions that run themselves as units of work, with ``await`` and without."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar

from replication.units.unit import Applied

T = TypeVar("T")
X = TypeVar("X")
P = ParamSpec("P")


class UnitOfWork(Generic[X, P, T]):
    """A function that runs itself as a unit of work; made by ``Storage.unit_of_work`` (``X`` is its
    transaction) and ``AsyncOrm.unit_of_work`` (``X`` is SQLAlchemy's session)."""

    def __init__(
        self,
        fn: Callable[Concatenate[X, P], Awaitable[T]],
        run: Callable[[Callable[[X], Awaitable[T]], str | None], Awaitable[Applied[T]]],
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        """The function itself, to be called inside of another unit of work."""
        self._run = run

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply it under an id that is drawn; what the function returned."""
        return (await self._run(lambda x: self.fn(x, *args, **kwargs), None)).value

    async def run(self, unit_id: str, /, *args: P.args, **kwargs: P.kwargs) -> Applied[T]:
        """Apply it under ``unit_id``; see ``Storage.run``."""
        return await self._run(lambda x: self.fn(x, *args, **kwargs), unit_id)


class SyncUnitOfWork(Generic[X, P, T]):
    """Made by ``SyncStorage.unit_of_work`` (``X`` is its transaction) and ``Orm.unit_of_work``
    (``X`` is SQLAlchemy's session)."""

    def __init__(
        self,
        fn: Callable[Concatenate[X, P], T],
        run: Callable[[Callable[[X], T], str | None], Applied[T]],
    ) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        """The function itself, to be called inside of another unit of work."""
        self._run = run

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply it under an id that is drawn; what the function returned."""
        return self._run(lambda x: self.fn(x, *args, **kwargs), None).value

    def run(self, unit_id: str, /, *args: P.args, **kwargs: P.kwargs) -> Applied[T]:
        """Apply it under ``unit_id``; see ``Storage.run``."""
        return self._run(lambda x: self.fn(x, *args, **kwargs), unit_id)
