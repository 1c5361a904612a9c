"""Stories about the alerts on the service itself: who is primary, who failed over, who is down."""

from __future__ import annotations

from support.monitoring.rule_case import NOTHING, STEADY, WH, A, B, C, Case, one

CASES: tuple[Case, ...] = (
    Case(
        name="no primary for more than a minute",
        of="BasculeNoPrimary",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 0+0x100"},
        fires={180: NOTHING, 210: one("BasculeNoPrimary", WH)},
    ),
    Case(
        name="a failover that takes 45 s",
        of="BasculeNoPrimary",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 0 0 0 1+0x100"},
        fires={165: NOTHING, 180: NOTHING, 210: NOTHING},
    ),
    Case(
        name="a standby cluster has a standby leader",
        of="BasculeNoPrimary",
        series={
            'bascule_primaries{cluster="wh"}': "0" + STEADY,
            'bascule_writable_members{cluster="wh"}': "0" + STEADY,
            f'bascule_member_role{{{A}, role="primary"}}': "0" + STEADY,
            f'bascule_member_role{{{A}, role="standby_leader"}}': "1" + STEADY,
        },
        fires={600: NOTHING},
    ),
    Case(
        name="two take writes, Patroni knows of one",
        of="BasculeTwoPrimaries",
        series={'bascule_writable_members{cluster="wh"}': "1+0x8 2+0x20 1+0x100"},
        fires={150: one("BasculeTwoPrimaries", WH), 480: NOTHING},
    ),
    Case(
        name="two claim to be primary",
        of="BasculeTwoPrimaries",
        series={'bascule_primaries{cluster="wh"}': "1+0x8 2+0x100"},
        fires={150: one("BasculeTwoPrimaries", WH)},
    ),
    Case(
        name="one sample that saw both halves of a switchover",
        of="BasculeTwoPrimaries",
        series={'bascule_writable_members{cluster="wh"}': "1+0x8 2 1+0x100"},
        fires={135: NOTHING, 150: NOTHING},
    ),
    Case(
        name="the primary is on the next timeline, and ten minutes pass",
        of="BasculeTimelineChanged",
        series={f"bascule_member_timeline{{{A}}}": "1+0x8 2+0x100"},
        fires={
            120: NOTHING,
            135: one("BasculeTimelineChanged", WH),
            690: one("BasculeTimelineChanged", WH),
            750: NOTHING,
        },
    ),
    Case(
        name="another member is primary, after a gap without one",
        of="BasculeTimelineChanged",
        series={
            f'bascule_member_role{{{A}, role="primary"}}': "1+0x8 0+0x100",
            f'bascule_member_role{{{B}, role="primary"}}': "0+0x10 1+0x100",
            f"bascule_member_timeline{{{B}}}": "1+0x10 2+0x100",
        },
        fires={150: NOTHING, 180: one("BasculeTimelineChanged", WH)},
    ),
    Case(
        name="a replica is stuck on an old timeline; the primary has not moved",
        of="BasculeTimelineChanged",
        series={
            f"bascule_member_timeline{{{A}}}": "2" + STEADY,
            f"bascule_member_timeline{{{B}}}": "1+0x20 2+0x100",
            f"bascule_member_timeline{{{C}}}": "1" + STEADY,
        },
        fires={300: NOTHING, 330: NOTHING},
    ),
    Case(
        name="Patroni of a member is silent",
        of="BasculeMemberDown",
        series={f"bascule_member_up{{{B}}}": "1+0x8 0+0x100"},
        fires={180: NOTHING, 210: one("BasculeMemberDown", B)},
    ),
    Case(
        name="PostgreSQL of a member is silent, and most of its series are gone",
        of="BasculeMemberDown",
        series={
            f"bascule_member_sql_up{{{B}}}": "1+0x8 0+0x100",
            f"bascule_member_timeline{{{B}}}": "1+0x8 stale",
            f"bascule_member_in_recovery{{{B}}}": "1+0x8 stale",
        },
        fires={210: one("BasculeMemberDown", B)},
    ),
    Case(
        name="a restart that takes 45 s",
        of="BasculeMemberDown",
        series={f"bascule_member_sql_up{{{B}}}": "1+0x8 0 0 0 1+0x100"},
        fires={180: NOTHING, 210: NOTHING},
    ),
)
