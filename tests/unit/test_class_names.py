"""A class name means one thing in the whole house: classes and type aliases, private ones too."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("replication", "cluster", "chaos")

MEANT_TWICE = {
    "Problem": "replication and cluster each have one: neither may import the other (0001)",
}
"""Names that are defined more than once for good, and why."""


def alias_of(node: ast.stmt) -> str | None:
    """The name in ``Name = ...`` of a type: capitals and small letters, and not made by a call."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
            word = name.lstrip("_")
            is_name = word[:1].isupper() and not word.isupper() and "_" not in word
            return name if is_name and not isinstance(value, ast.Call | ast.Constant) else None
    return None


def names_in(module: Path) -> Iterator[str]:
    """What a module defines: classes, wherever they stand, and aliases at its top."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    yield from filter(None, map(alias_of, tree.body))


def doubled() -> dict[str, list[str]]:
    """Names that are defined more than once, with their modules."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for module in sorted((ROOT / package).rglob("*.py")):
            for name in names_in(module):
                found[name].append(str(module.relative_to(ROOT)))
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_a_definition_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "from typing import Literal, TypeVar\n"
        'T = TypeVar("T")\nLIMIT_S = 3.0\nNames = dict[str, int]\n_Kind = Literal["a"]\n'
        "class Outer:\n    class _Inner: ...\n"
    )
    assert set(names_in(module)) == {"Names", "_Kind", "Outer", "_Inner"}


def test_a_class_name_means_one_thing() -> None:
    assert {name: at for name, at in doubled().items() if name not in MEANT_TWICE} == {}


def test_no_exception_is_out_of_date() -> None:
    assert MEANT_TWICE.keys() - doubled().keys() == set()
