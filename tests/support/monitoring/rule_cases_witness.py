"""Stories about the alerts on the witnesses."""

from __future__ import annotations

from support.monitoring.rule_case import NOTHING, STEADY, WH, Case, one

WITNESSES = tuple(f'cluster="wh", site="{site}"' for site in "abc")


def told(metric: str, values: str, labels: str = "") -> dict[str, str | None]:
    """The same of all three witnesses."""
    return {f"bascule_witness_{metric}{{{one}{labels}}}": values for one in WITNESSES}


SITES = told("sites", "3" + STEADY)

CASES: tuple[Case, ...] = (
    Case(
        name="one of three witnesses is gone, and its series with it",
        of="BasculeWitnessMissing",
        series={
            **SITES,
            **told("peers", "3+0x8 2+0x100"),
            'bascule_witness_peers{cluster="wh", site="c"}': "3+0x8 stale",
            'bascule_witness_sites{cluster="wh", site="c"}': "3+0x8 stale",
        },
        fires={240: NOTHING, 300: one("BasculeWitnessMissing", WH)},
    ),
    Case(
        name="a witness is started anew within a minute",
        of="BasculeWitnessMissing",
        series={**SITES, **told("peers", "3+0x8 2+0x4 3+0x100")},
        fires={180: NOTHING, 300: NOTHING, 600: NOTHING},
    ),
    Case(
        name="one witness does not reach etcd",
        of="BasculeWitnessBlind",
        series={
            **told("dcs_age_seconds", "0" + STEADY),
            'bascule_witness_dcs_age_seconds{cluster="wh", site="b"}': "0+0x8 0+15x100",
        },
        fires={
            180: NOTHING,
            240: one("BasculeWitnessBlind", 'cluster="wh", site="b"'),
        },
    ),
    Case(
        name="etcd elects a leader",
        of="BasculeWitnessBlind",
        series=told("dcs_age_seconds", "0+0x8 7 0+0x100"),
        fires={135: NOTHING, 200: NOTHING},
    ),
    Case(
        name="an act",
        of="BasculeWitnessActed",
        series={
            **told("acts_total", "0" + STEADY, ', outcome="done"'),
            'bascule_witness_acts_total{cluster="wh", site="a", outcome="done"}': "0+0x8 1+0x100",
        },
        fires={120: NOTHING, 150: one("BasculeWitnessActed", WH), 900: NOTHING},
    ),
    Case(
        name="acts of a dry run, and one that came too late",
        of="BasculeWitnessActed",
        series={
            **told("acts_total", "0+0x8 1+0x100", ', outcome="dry-run"'),
            **told("acts_total", "0+0x8 1+0x100 ", ', outcome="late"'),
        },
        fires={150: NOTHING, 300: NOTHING},
    ),
    Case(
        name="the winner would stand alone",
        of="BasculeWitnessRefused",
        series=told("refusals_total", "0+0x8 1+0x100", ', reason="stands-alone"'),
        fires={
            120: NOTHING,
            150: one("BasculeWitnessRefused", 'cluster="wh", reason="stands-alone"'),
            900: NOTHING,
        },
    ),
    Case(
        name="witnesses that did not reach etcd when the primary was silent",
        of="BasculeWitnessRefused",
        series=told("refusals_total", "0+0x8 1+0x100", ', reason="etcd-unread"'),
        fires={150: NOTHING},
    ),
)
