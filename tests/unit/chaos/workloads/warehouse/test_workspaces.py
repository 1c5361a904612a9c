"""Workspaces: what the file may say, what is refused, and which numbers a project gets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from chaos.errors import PreflightError
from chaos.scenarios.access import NO_ACCESS
from chaos.workloads.warehouse import WarehouseOptions
from chaos.workloads.warehouse.escapes import access_of, probes_of, probes_toml
from chaos.workloads.warehouse.sealing import (
    SHIFT_DAYS_MAX,
    days_back,
    migrations_of,
    pseudonym,
    series_of,
)
from chaos.workloads.warehouse.stewardship import MOVING, StewardAct, drill_key, drill_projects
from chaos.workloads.warehouse.workspaces import (
    Cohort,
    Project,
    WorkspacesError,
    load_workspaces,
    parse_workspaces,
)

EXAMPLE = Path(__file__).parents[5] / "examples" / "warehouse" / "workspaces.toml"
ONE, OTHER = b"1" * 32, b"2" * 32

SMALL = """
[[project]]
name = "tolerance"
title = "Tolérance"
members = ["sacha"]
cohort = { born_from = 1960 }
[project.tables]
person = ["year_of_birth"]
"""


def test_the_example() -> None:
    response, tolerance = load_workspaces(EXAMPLE)
    assert response.schema == response.role == "ws_reponse_tumeur_1"
    assert response.cohort == Cohort(condition="Tumeur 1", born_before=1980)
    assert tolerance.tables["death"] == ("death_date",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("year_of_birth", "family_name"),
            "project[0].tables.person[0]: expected gender_concept_id",
        ),
        (("person =", "patient ="), "project[0].tables.patient: unknown key"),
        (("person =", "note ="), "project[0].tables.note: unknown key"),
        (("born_from = 1960", 'condition = "Grippe"'), "project[0].cohort.condition: expected"),
        (("born_from = 1960", "born_from = 19"), "project[0].cohort.born_from: expected"),
        (('"sacha"', ""), "project[0].members: expected one or more members"),
        (('"sacha"', '"postgres"'), "project[0].members: expected a person; postgres is a name"),
        (('"sacha"', '"Sacha"'), "project[0].members[0]: expected a name"),
        (("person = ", "#"), "project[0].tables: expected one or more of person"),
        (
            ("members =", 'dates = "moved"\nmembers ='),
            "project[0].dates: expected shifted or exact",
        ),
        (("members", "member"), "project[0].member: unknown key; did you mean members?"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: tuple[str, str], problem: str) -> None:
    with pytest.raises(WorkspacesError, match=re.escape(problem)):
        parse_workspaces(SMALL.replace(*change), "mine.toml")


def test_a_person_is_in_one_project_and_a_name_is_given_once() -> None:
    second = SMALL.replace('"tolerance"', '"other"')
    words = "project[1].members: expected a member of one project; sacha is in tolerance too"
    with pytest.raises(WorkspacesError, match=re.escape(words)):
        parse_workspaces(SMALL + second, "mine.toml")
    twice = SMALL + SMALL.replace("sacha", "charlie")
    with pytest.raises(WorkspacesError, match=re.escape("project[1].name: expected another name")):
        parse_workspaces(twice, "mine.toml")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(WorkspacesError, match=r"nowhere\.toml"):
        load_workspaces(Path("nowhere.toml"))


def test_pseudonyms_are_stable_and_those_of_one_project() -> None:
    persons = range(1, 60_001)
    numbers = [pseudonym(ONE, person) for person in persons]
    assert numbers == [pseudonym(ONE, person) for person in persons]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {pseudonym(OTHER, person) for person in persons}
    assert all(0 <= number < 2**63 for number in numbers)


def project(**other: object) -> Project:
    values: dict[str, object] = {
        "name": "tolerance",
        "title": "Tolérance",
        "members": ("sacha",),
        "cohort": Cohort(),
        "tables": {"person": ("year_of_birth",)},
    }
    return Project(**(values | other))  # type: ignore[arg-type]


def test_another_key_or_choice_is_another_migration() -> None:
    digests = {
        migrations_of(of, key)[1].digest
        for of, key in (
            (project(), ONE),
            (project(), OTHER),
            (project(cohort=Cohort(born_from=1960)), ONE),
            (project(tables={"death": ("death_date",)}), ONE),
        )
    }
    assert len(digests) == 4
    assert migrations_of(project(), ONE)[1].digest == migrations_of(project(), ONE)[1].digest
    assert series_of(project()) == "workspace-tolerance"


def test_no_statement_and_no_version_has_the_key() -> None:
    for migration in migrations_of(project(), ONE):
        told = f"{migration} {migration.version}"
        assert ONE.decode() not in told
        assert ONE.hex() not in told


def test_a_short_key_is_refused_with_the_remedy() -> None:
    with pytest.raises(PreflightError, match=r"has 5 bytes, it needs 32: make one with  openssl"):
        migrations_of(project(), b"short")


def test_the_probes_are_toml_and_their_names_are_unique() -> None:
    projects = load_workspaces(EXAMPLE)
    probes = list(probes_of(projects))
    written = tomllib.loads(probes_toml(projects))["probe"]
    assert [probe["name"] for probe in written] == [probe.name for probe in probes]
    assert len({probe.name for probe in probes}) == len(probes) > 50
    assert {str(probe["expect"]) for probe in written} == {"refused", "same", "rows = 0"}
    assert [probe["sql"] for probe in written] == [probe.sql for probe in probes]


def test_dates_are_moved_unless_the_project_says_that_they_are_exact() -> None:
    (moved,) = parse_workspaces(SMALL, "x")
    (exact,) = parse_workspaces(SMALL.replace("members", 'dates = "exact"\nmembers'), "x")
    assert (moved.dates, exact.dates) == ("shifted", "exact")
    versions = [migrations_of(one, ONE)[1].version for one in (moved, exact)]
    assert versions[0] != versions[1], "a workspace that is there is not changed by that"


def test_the_days_of_a_patient_are_the_projects_own() -> None:
    days = [[days_back(key, person) for person in range(5000)] for key in (ONE, OTHER)]
    assert days[0] == [days_back(ONE, person) for person in range(5000)]
    for one in days:
        assert (min(one), max(one)) == (1, SHIFT_DAYS_MAX)
        assert len(set(one)) == SHIFT_DAYS_MAX
    alike = sum(a == b for a, b in zip(*days, strict=True))
    assert alike < 50, "one in 365, by chance"


def test_a_steward_opens_admits_dismisses_and_closes_every_second_project() -> None:
    acts = [StewardAct(site="saint-cloud", number=number) for number in range(1, 10)]
    assert [one.act for one in acts] == [
        *("open", "admit", "dismiss", "admit"),
        *("open", "admit", "dismiss", "close"),
        "open",
    ]
    roles = [one.project.role for one in acts]
    assert roles == [
        *["ws_steward_saint_cloud_1"] * 4,
        *["ws_steward_saint_cloud_2"] * 4,
        "ws_steward_saint_cloud_3",
    ]
    assert all(role.startswith(MOVING) for role in roles)
    assert acts[0].project.members == ("steward_saint_cloud",)
    assert acts[0].project.members[0].startswith(MOVING)
    assert len({one.id for one in acts}) == len(acts)
    keys = {drill_key(7, project.name) for project in (*drill_projects(), acts[0].project)}
    assert len(keys) == 3, "each project has a key of its own"


def test_what_a_drill_asks_has_one_escape_of_each_kind_and_own_rows() -> None:
    asked = access_of(WarehouseOptions(workspaces=True))
    assert asked.moving == MOVING
    names = [probe.name for probe in asked.probes]
    for project, other in (("reponse-tumeur-1", "tolerance"), ("tolerance", "reponse-tumeur-1")):
        for what in (
            *("own-person", "writes-nothing", f"becomes-{other}", f"reads-{other}-person"),
            *("reads-identity-patient", "reads-warehouse-person", "server-passwords"),
        ):
            assert f"{project}-{what}" in names
    assert sum(probe.expect == "same" for probe in asked.probes) == 5
    assert sum(probe.is_escape for probe in asked.probes) > 20
    assert access_of(WarehouseOptions()) == NO_ACCESS
