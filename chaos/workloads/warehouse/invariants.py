"""What must hold of a warehouse, by number: which checker says so, and what of a run it looks at.

The page docs/reference/invariants.md is written from here, and so is the matrix of real runs
(``scripts/invariants.py``). Values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LookedAt = Literal[
    "answers",
    "prints",
    "trail",
    "values",
    "withdrawal",
    "snapshots",
    "cohorts",
    "streams",
    "service",
    "end",
]
"""What is looked at: answers to probes; fingerprints of nodes; the logs of all nodes, for accesses
or for sealed values; withdrawals of rights; members' reads of one snapshot, or of a cohort, or
where a cohort's stream began; how the sites were served; what every node holds at the end."""

UNIT = "tests/unit/chaos"
_WAREHOUSE = f"{UNIT}/workloads/warehouse/test_warehouse_checkers.py"
_ACCESS = f"{UNIT}/checkers/test_access_checkers.py"
_POWERS = f"{UNIT}/checkers/test_powers.py"
_READERS = f"{UNIT}/workloads/warehouse/test_readers.py"
_TRAILS = f"{UNIT}/checkers/test_trail_checkers.py"
_WORKSPACES = f"{UNIT}/workloads/warehouse/test_workspaces.py"
_INTEGRATION = "tests/integration/chaos/workloads/test_workspaces.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One thing that must hold."""

    id: str
    words: str
    checker: str = ""
    """Its name; empty: no checker of runs judges it, and ``note`` says what does, or why not."""
    finds: tuple[str, ...] = ()
    """The findings by which it is broken."""
    look: LookedAt = "end"
    probes: str = ""
    """Of the answers only those to probes with this in their name."""
    rejects: tuple[str, ...] = ()
    """Tests with a history that must be rejected: ``file::name``."""
    note: str = ""


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        id="F1",
        words="every acknowledged delivery is there once and whole, every feed came to its end",
        checker="feeds",
        finds=("torn-delivery", "feed-unfinished"),
        rejects=(
            f"{_WAREHOUSE}::test_a_delivery_that_is_not_whole",
            f"{_WAREHOUSE}::test_a_feed_that_did_not_end",
        ),
        note="that none is missing or twice: `lost-entries`, `duplicates`",
    ),
    Invariant(
        id="F2",
        words="a watermark is never ahead of its deliveries, and never goes back",
        checker="feeds",
        finds=("wrong-watermark",),
        rejects=(f"{_WAREHOUSE}::test_a_watermark_that_is_wrong",),
        note="going back is `stale-snapshot` of `warehouse-reads`",
    ),
    Invariant(
        id="F3",
        words="every fact has its person, and the stay of that person",
        checker="warehouse-totals",
        finds=("broken-reference",),
        rejects=(f"{_WAREHOUSE}::test_a_warehouse_that_does_not_add_up",),
    ),
    Invariant(
        id="F4",
        words="ids from sequences are unique; gaps are allowed",
        checker="warehouse-totals",
        finds=("reused-id",),
        rejects=(f"{_WAREHOUSE}::test_a_warehouse_that_does_not_add_up",),
    ),
    Invariant(
        id="F5",
        words="no table or sequence is unlogged",
        checker="warehouse-totals",
        finds=("unlogged-table",),
        rejects=(f"{_WAREHOUSE}::test_a_warehouse_that_does_not_add_up",),
    ),
    Invariant(
        id="F6",
        words="a delivery that comes again changes nothing",
        checker="feeds",
        finds=("changed-by-rerun",),
        rejects=(f"{_WAREHOUSE}::test_a_delivery_that_came_again_and_changed_something",),
    ),
    Invariant(
        id="F7",
        words="rows reconcile by delivery, by source and by table",
        checker="warehouse-totals",
        finds=("unreconciled-rows",),
        rejects=(f"{_WAREHOUSE}::test_a_warehouse_that_does_not_add_up",),
    ),
    Invariant(
        id="W1",
        words="a long read that is interrupted goes on from the last key elsewhere, and is whole",
        checker="warehouse-reads",
        finds=("wrong-cohort",),
        look="cohorts",
        rejects=(f"{_WAREHOUSE}::test_a_cohort_with_other_rows",),
    ),
    Invariant(
        id="W2",
        words="what is read in one snapshot agrees",
        checker="warehouse-reads",
        finds=("torn-snapshot",),
        look="snapshots",
        rejects=(f"{_WAREHOUSE}::test_a_snapshot_that_is_torn",),
    ),
    Invariant(
        id="W3",
        words="the interruption is within its bound while members read",
        checker="service",
        finds=("service-not-kept",),
        look="service",
        rejects=(
            f"{UNIT}/checkers/test_service_checkers.py::test_service_back_too_late_is_a_finding",
        ),
    ),
    Invariant(
        id="W4",
        words="a read on a replica lacks nothing that is older than its bound",
        checker="warehouse-reads",
        finds=("stale-snapshot",),
        look="snapshots",
        rejects=(f"{_WAREHOUSE}::test_a_snapshot_that_is_older_than_its_bound",),
    ),
    Invariant(
        id="W5",
        words="large reads are not taken from a candidate where there is a dedicated reader",
        checker="readers",
        finds=("read-from-candidate",),
        look="streams",
        rejects=(f"{_READERS}::test_a_stream_that_began_on_a_candidate_is_found",),
        note="judged is where a stream began, while a reader was well; on a topology with a member "
        "tagged `reader`",
    ),
    Invariant(
        id="S1",
        words="every probe is answered the same on every node and as before; escapes are refused",
        checker="seals",
        finds=("seal-broken", "answer-differs"),
        look="answers",
        rejects=(f"{_ACCESS}::test_an_escape_that_shows_a_row_breaks_the_seal",),
    ),
    Invariant(
        id="S2",
        words="rights are equal on all nodes",
        checker="doors",
        finds=("door-differs",),
        look="prints",
        rejects=(
            f"{_ACCESS}::test_another_right_is_found_where_replication_should_have_brought_it",
        ),
        note="what a steward changes under load: `wrong-workspace` of `workspaces`, "
        f"`{_WAREHOUSE}::test_a_workspace_that_its_steward_did_not_make_so`",
    ),
    Invariant(
        id="S3",
        words="doors are equal on all nodes: pg_hba, user maps, ALTER SYSTEM, logs, libraries",
        checker="doors",
        finds=("door-differs",),
        look="prints",
        rejects=(f"{_ACCESS}::test_another_door_is_found",),
    ),
    Invariant(
        id="S4",
        words="no member has a power that no seal withstands, or is in two projects",
        checker="powers",
        finds=("too-powerful",),
        look="prints",
        rejects=(f"{_POWERS}::test_a_power_that_no_seal_withstands",),
    ),
    Invariant(
        id="S5",
        words="what is withdrawn is refused everywhere within its bound",
        checker="withdrawal",
        finds=("still-admitted",),
        look="withdrawal",
        rejects=(f"{_ACCESS}::test_a_replica_that_admits_for_too_long_is_found",),
    ),
    Invariant(
        id="S6",
        words="pseudonyms are stable, other ones in each project, and without collision",
        checker="seals",
        finds=("answer-differs",),
        look="answers",
        probes="-own-",
        rejects=(f"{_ACCESS}::test_another_answer_than_the_right_one_is_found",),
        note="stable: the sums of a project's own numbers (probes `own-*`). Other ones, without "
        "collision, and no key in the database: "
        f"`{_WORKSPACES}::test_pseudonyms_are_stable_and_those_of_one_project`, "
        f"`{_INTEGRATION}::test_workspaces_are_sealed`",
    ),
    Invariant(
        id="S7",
        words="who objected or was erased is nowhere at the end, and in no read after its bound",
        checker="warehouse-totals",
        finds=("withdrawn-patient",),
        rejects=(f"{_WAREHOUSE}::test_a_warehouse_that_does_not_add_up",),
        note="in reads `stale-snapshot`; in the copies of projects `withdrawn-in-copy`, "
        f"`{_WAREHOUSE}::test_a_copy_that_has_other_patients_than_its_cohort`",
    ),
    Invariant(
        id="A1",
        words="every acknowledged access is in the union of the nodes' trails",
        checker="trail",
        finds=("audit-gap",),
        look="trail",
        rejects=(f"{_ACCESS}::test_accesses_in_no_log_are_found_and_named",),
    ),
    Invariant(
        id="A2",
        words="with person, project, node, time and timeline",
        checker="trail",
        finds=("audit-gap",),
        look="trail",
        rejects=(f"{_ACCESS}::test_an_access_under_another_name_is_found",),
        note="the person is compared; node and time are the log's own, the project is the member's "
        "role, and nobody compares a timeline",
    ),
    Invariant(
        id="A3",
        words="projects can neither read nor write the trail",
        checker="seals",
        finds=("seal-broken",),
        look="answers",
        probes="-server-trail",
        rejects=(f"{_ACCESS}::test_an_escape_that_shows_a_row_breaks_the_seal",),
        note="probes `server-trail`; to write it takes files or programs of the server, `server-*`",
    ),
    Invariant(
        id="A4",
        words="the trail holds no value of a sealed column",
        checker="trail-values",
        finds=("value-in-trail",),
        look="values",
        rejects=(f"{_TRAILS}::test_a_sealed_value_in_a_log_is_found",),
        note="values that a scenario plants and names (`sealed_values`), after errors about them; "
        "by PostgreSQL's defaults it is broken (`trail-holds-values`)",
    ),
    Invariant(
        id="A5",
        words="the window of retention is kept across nodes",
        checker="retention",
        finds=("trail-overwritten",),
        look="prints",
        rejects=(f"{_TRAILS}::test_logs_that_would_be_written_over_are_found",),
        note="by the settings of every node (`trail_days`): a drill is too short for months, and "
        "sees no job that deletes. That the lines of the drill are there still, after rewind, new "
        "copy and restore, is A1",
    ),
)
"""In the order of the page."""
