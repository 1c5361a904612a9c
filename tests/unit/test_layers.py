"""The folders of ``chaos`` stand on one another, and none imports from above."""

from __future__ import annotations

import ast
from pathlib import Path

from support.house.imports import Import, find_imports, find_sources

ROOT = Path(__file__).parents[2]

LAYERS = (
    *("errors", "wording", "decode", "faults", "kinds of workloads", "scenarios", "evidence"),
    *("findings", "consistency", "timing", "checkers", "workloads", "load", "judge", "report"),
    *("paper", "probing", "live", "drill", "campaigns", "gameday", "testing", "toolkit", "cli"),
    "__main__",
)
"""The folders, and the modules beside them, from the ground up: each imports only from those that
stand before it. So there is no circle of folders either. What a workload says about itself is
needed to read a scenario; its load and its checkers stand high above that, in the same folder."""

KINDS = ROOT / "chaos" / "workloads"


def imports_of_chaos() -> list[Import]:
    found = find_imports(find_sources(ROOT, ["chaos"]))
    # The package itself hands Chaos Toolkit its extension, when asked.
    return [one for one in found if one.importer != "chaos" and one.imported.startswith("chaos.")]


def folder_of(module: str) -> str:
    _, folder, *rest = module.split(".")
    is_kind = len(rest) == 1 and (rest[0] in {"kind", "registry"} or (KINDS / rest[0]).is_dir())
    return "kinds of workloads" if folder == "workloads" and is_kind else folder


def said(imports: list[Import]) -> list[str]:
    return [f"{one.importer}:{one.line} imports {one.imported}" for one in imports]


def test_every_folder_has_its_layer() -> None:
    folders = {folder_of(one.importer) for one in imports_of_chaos()}
    assert folders <= set(LAYERS)


def test_no_folder_imports_from_above() -> None:
    place = {folder: index for index, folder in enumerate(LAYERS)}
    upward = [
        one
        for one in imports_of_chaos()
        if place[folder_of(one.imported)] > place[folder_of(one.importer)]
    ]
    assert said(upward) == []


def test_the_report_draws_what_was_judged_and_judges_nothing() -> None:
    judging = [
        one
        for one in imports_of_chaos()
        if folder_of(one.importer) == "report"
        and folder_of(one.imported) == "judge"
        and one.imported != "chaos.judge.verdict_file"
    ]
    assert said(judging) == []


def test_the_report_takes_only_the_kinds_of_findings_from_the_checkers() -> None:
    names = [
        alias.name
        for module in sorted((ROOT / "chaos" / "report").rglob("*.py"))
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chaos.checkers")
        for alias in node.names
    ]
    assert names
    assert [name for name in names if not name.isupper()] == []
