"""Who imports whom, from the source alone: what the tests of the architecture stand on."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ALLOWED: Mapping[str, frozenset[str]] = {
    "replication": frozenset(),
    "cluster": frozenset(),
    "chaos": frozenset({"cluster", "replication"}),
    "pytest_bascule": frozenset({"chaos", "replication"}),
}
"""The one-way rule: for each package (the plugin is one module), the others that it may import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import, by a module of a module."""

    importer: str
    imported: str
    """The module, or the deepest module on the way to the name that is imported."""
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A module as it stands on disk."""

    name: str
    path: Path
    is_package: bool


def find_sources(root: Path, packages: Iterable[str]) -> list[Source]:
    """Every module of ``packages`` below ``root``."""
    return [
        _source(root, path)
        for package in packages
        for path in sorted([*root.glob(f"{package}.py"), *root.glob(f"{package}/**/*.py")])
    ]


def find_imports(sources: Sequence[Source]) -> list[Import]:
    """Every import in ``sources``: at the top, inside functions, for type checkers only.

    A text that is the dotted name of another package's module counts too: that is how
    ``python -m`` and ``importlib`` are told what to import.
    """
    names = {source.name for source in sources}
    return [one for source in sources for one in _imports_of(source, names)]


def rule_breaks(imports: Iterable[Import]) -> list[str]:
    """The imports that go against the one-way rule, in words."""
    return [
        f"{one.importer}:{one.line} imports {one.imported}"
        for one in imports
        if _top(one.imported) in ALLOWED
        and _top(one.imported) != _top(one.importer)
        and _top(one.imported) not in ALLOWED[_top(one.importer)]
    ]


def find_cycle(imports: Iterable[Import]) -> list[str]:
    """The modules of one cycle of imports, the first one again at the end; empty when none is."""
    graph: dict[str, set[str]] = {}
    for one in imports:
        if _top(one.imported) in ALLOWED:
            graph.setdefault(one.importer, set()).add(one.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _source(root: Path, path: Path) -> Source:
    parts = path.relative_to(root).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Source(
        name=".".join(parts[:-1] if is_package else parts), path=path, is_package=is_package
    )


def _imports_of(source: Source, names: set[str]) -> Iterator[Import]:
    for node in ast.walk(ast.parse(source.path.read_text(encoding="utf-8"), str(source.path))):
        for name in _named(node, source, names):
            yield Import(importer=source.name, imported=name, line=getattr(node, "lineno", 0))


def _named(node: ast.AST, source: Source, names: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, source)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in names else base
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        # A package may name its own modules, for their data files or for ``python -m``.
        is_module = "." in node.value and node.value in names
        if is_module and _top(node.value) != _top(source.name):
            yield node.value


def _absolute(node: ast.ImportFrom, source: Source) -> str:
    if node.level == 0:
        return node.module or ""
    package = source.name.split(".")
    ups = node.level - 1 if source.is_package else node.level
    return ".".join([*package[: len(package) - ups], *([node.module] if node.module else [])])


def _top(module: str) -> str:
    return module.partition(".")[0]
