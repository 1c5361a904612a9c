"""Dates of a workspace beside those of the warehouse that it was copied from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from chaos.workloads.warehouse.sealing import days_back
from chaos.workloads.warehouse.workspaces import Project


def assert_moved(
    ask: Callable[[str], list[Any]], project: Project, key: bytes, persons: Mapping[int, int]
) -> None:
    """All dates of a patient were moved by the same days, those under the project's key.

    Args:
        ask: runs a query.
        project: the workspace.
        key: its own.
        persons: who has which number in it.
    """
    columns = 0
    for table, names in project.tables.items():
        for name in (one for one in names if one.endswith("_date")):
            columns += 1
            dates = f"array_agg({name} ORDER BY {name})"
            query = f"SELECT person_id, {dates} FROM {{}}.{table} GROUP BY person_id"
            kept = dict(ask(query.format("warehouse")))
            moved = ask(query.format(project.schema))
            assert moved, name
            for number, days in moved:
                person = persons[number]
                back = timedelta(days=days_back(key, person))
                assert [None if day is None else day + back for day in days] == kept[person]
    assert columns > 1, "dates of several tables"
