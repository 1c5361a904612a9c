"""The fault catalogue: adding a fault is a file here and a line below.

For people it needs a row in docs/use/scenarios.md ("Every key"), which says what it does and how it
is healed, and its French name in chaos/paper/words-fr.toml; tests hold both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaos.faults.backend import BACKEND_KILL
from chaos.faults.backup import BACKUP
from chaos.faults.base import FaultKind
from chaos.faults.clock_drift import CLOCK_DRIFT
from chaos.faults.clock_step import CLOCK_STEP
from chaos.faults.config_change import CONFIG_CHANGE
from chaos.faults.config_wrong import CONFIG_WRONG
from chaos.faults.crash_loop import PROCESS_CRASH_LOOP
from chaos.faults.data_lost import DATA_LOST
from chaos.faults.dcs_pause import DCS_PAUSE
from chaos.faults.dcs_restored import DCS_RESTORED
from chaos.faults.dcs_snapshot import DCS_SNAPSHOT
from chaos.faults.dcs_stop import DCS_STOP
from chaos.faults.dcs_wiped import DCS_WIPED
from chaos.faults.disk_errors import DISK_ERRORS
from chaos.faults.disk_full import DISK_FULL
from chaos.faults.disk_lies import DISK_LIES
from chaos.faults.disk_read_only import DISK_READ_ONLY
from chaos.faults.disk_slow import DISK_SLOW
from chaos.faults.failover_by_hand import FAILOVER_BY_HAND
from chaos.faults.freeze import HOST_FREEZE
from chaos.faults.host import HOST_POWER_CUT
from chaos.faults.host_absent import HOST_ABSENT
from chaos.faults.link import LINK_CUT
from chaos.faults.link_flap import LINK_FLAP
from chaos.faults.link_loss import LINK_LOSS
from chaos.faults.link_one_way import LINK_CUT_ONE_WAY
from chaos.faults.link_slow import LINK_SLOW
from chaos.faults.long_query import LONG_QUERY
from chaos.faults.memory import OUT_OF_MEMORY
from chaos.faults.patroni_pause import PAUSE
from chaos.faults.patroni_reinitialize import PATRONI_REINITIALIZE
from chaos.faults.patroni_restart import PATRONI_RESTART
from chaos.faults.port_cut import PORT_CUT
from chaos.faults.process import PROCESS_KILL
from chaos.faults.promote_standby import PROMOTE_STANDBY
from chaos.faults.promoted_by_hand import PROMOTED_BY_HAND
from chaos.faults.restore_test import RESTORE_TEST
from chaos.faults.rolling_restart import ROLLING_RESTART
from chaos.faults.site import SITE_CUT
from chaos.faults.site_link import SITE_LINK_CUT
from chaos.faults.site_lost import SITE_LOST
from chaos.faults.site_one_way import SITE_CUT_ONE_WAY
from chaos.faults.site_power import SITE_POWER_CUT
from chaos.faults.stop import PROCESS_STOP
from chaos.faults.switchover import SWITCHOVER
from chaos.faults.torn_page import TORN_PAGE
from chaos.faults.unfenced_return import UNFENCED_RETURN
from chaos.faults.wipe import HOST_WIPED

_KINDS: tuple[FaultKind[Any], ...] = (
    HOST_POWER_CUT,
    HOST_FREEZE,
    HOST_WIPED,
    HOST_ABSENT,
    UNFENCED_RETURN,
    PROCESS_KILL,
    PROCESS_STOP,
    PROCESS_CRASH_LOOP,
    BACKEND_KILL,
    OUT_OF_MEMORY,
    LINK_CUT,
    LINK_CUT_ONE_WAY,
    LINK_LOSS,
    LINK_FLAP,
    PORT_CUT,
    LINK_SLOW,
    SITE_CUT,
    SITE_POWER_CUT,
    SITE_LOST,
    LONG_QUERY,
    SITE_CUT_ONE_WAY,
    SITE_LINK_CUT,
    SWITCHOVER,
    DCS_STOP,
    DCS_PAUSE,
    DCS_WIPED,
    DCS_SNAPSHOT,
    DCS_RESTORED,
    PATRONI_RESTART,
    PATRONI_REINITIALIZE,
    ROLLING_RESTART,
    FAILOVER_BY_HAND,
    PROMOTE_STANDBY,
    PROMOTED_BY_HAND,
    PAUSE,
    CONFIG_CHANGE,
    CONFIG_WRONG,
    DISK_FULL,
    DISK_READ_ONLY,
    DISK_SLOW,
    DISK_ERRORS,
    DISK_LIES,
    TORN_PAGE,
    BACKUP,
    RESTORE_TEST,
    DATA_LOST,
    CLOCK_STEP,
    CLOCK_DRIFT,
)

FAULTS: Mapping[str, FaultKind[Any]] = {kind.key: kind for kind in _KINDS}
"""Every fault, by its key."""


def lasts(fault: str) -> bool:
    """Whether a fault stays until it is undone; False for an unknown one."""
    return fault in FAULTS and FAULTS[fault].lasts
