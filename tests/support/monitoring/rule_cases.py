"""For every alert a story in which it must fire, and one that is nearly the same and must not."""

from __future__ import annotations

from support.monitoring.rule_case import Case
from support.monitoring.rule_cases_replica import CASES as REPLICA_CASES
from support.monitoring.rule_cases_service import CASES as SERVICE_CASES
from support.monitoring.rule_cases_support import CASES as SUPPORT_CASES
from support.monitoring.rule_cases_witness import CASES as WITNESS_CASES

CASES: tuple[Case, ...] = (*SERVICE_CASES, *REPLICA_CASES, *SUPPORT_CASES, *WITNESS_CASES)
