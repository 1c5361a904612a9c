"""Finds a file by the name of a built-in one, or by its path."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cluster.errors import Problem
from cluster.toml.reader import MakesError, did_you_mean, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlText:
    """A TOML text, and what to call it in messages."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The TOML files that come with a package.

    Built-in names go before files of the same name; a path with a ``/`` or the ending ``.toml`` is
    always a file.
    """

    kind: str
    """What they are, in the singular: ``topology``."""
    package: str
    """The package that has the folder."""
    folder: str
    refuse: MakesError
    first: str
    """The name that is listed first: the default."""

    def names(self) -> tuple[str, ...]:
        """The names of the built-in ones, the default first, then in order."""
        entries = files(self.package).joinpath(self.folder).iterdir()
        names = (entry.name for entry in entries)
        stems = (name.removesuffix(".toml") for name in names if name.endswith(".toml"))
        return tuple(sorted(stems, key=lambda name: (name != self.first, name)))

    def built_in(self, name: str) -> TomlText:
        """A built-in one by its name.

        Raises:
            what ``refuse`` makes: there is none of that name.
        """
        names = self.names()
        if name not in names:
            words = f"there is no built-in {self.kind} of this name{did_you_mean(name, names)}"
            rest = f"there are {', '.join(names)}; a file is given by its path"
            raise self.refuse(name, (Problem(key="", words=f"{words}; {rest}"),))
        entry = files(self.package).joinpath(self.folder, f"{name}.toml")
        return TomlText(text=entry.read_text(encoding="utf-8"), source=f"{name} (built in)")

    def find(self, name_or_path: str) -> TomlText:
        """A built-in one by its name, else a file by its path.

        Raises:
            what ``refuse`` makes: there is neither, or the file cannot be read.
        """
        path = Path(name_or_path)
        is_path = "/" in name_or_path or name_or_path.endswith(".toml")
        if is_path or (name_or_path not in self.names() and _exists(path)):
            return TomlText(text=read_text(path, self.refuse), source=name_or_path)
        return self.built_in(name_or_path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a null byte
        return False
