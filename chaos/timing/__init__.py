"""What users felt: outages, their phases, availability, latency; and what the settings predict."""

from __future__ import annotations

from chaos.timing.measure import measure
from chaos.timing.model import (
    RTO_PHASES,
    Prediction,
    ReadTiming,
    RtoPhase,
    ServiceGap,
    SiteTiming,
    Timing,
)
from chaos.timing.predict import predict

__all__ = [
    "RTO_PHASES",
    "Prediction",
    "ReadTiming",
    "RtoPhase",
    "ServiceGap",
    "SiteTiming",
    "Timing",
    "measure",
    "predict",
]
