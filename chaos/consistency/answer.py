"""What a judge of histories answers: one type for every model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from chaos.evidence.records import Scalar
from chaos.findings import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One thing in the history that the level forbids."""

    name: str
    """Elle's and Adya's word where they have one (``G1a``, ``G-single-item``), else ours."""
    sentences: tuple[str, ...]
    """What happened, one sentence a step; the last one says why it cannot be."""
    evidence: tuple[Mapping[str, Scalar], ...] = ()
    """One mapping a transaction or operation: its line, process, node, time, LSN, as known."""
    drawn: str = ""
    """The circle in one line (``T1 -rw-> T2 -clock-> T1``); empty where there is none."""
    count: int = 1
    """So many of its kind were seen; this is the smallest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why the history is VALID: something that a second function held against the history.

    It is made by the judge and checked by code that shares none of the judge's reasoning.
    """

    method: str
    """What was checked, in one sentence."""
    order: Sequence[str] = ()
    """The steps of the order, first to last, in words that name lines of the history. It may be
    lazy: a proof of a million transactions is written only if somebody asks."""
    checked: int = 0
    """So many reads were compared with what the order gives."""
    took_s: float = 0.0
    """So long the second function took, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAnswer:
    """The verdict on one history at one level.

    INVALID has at least one anomaly, VALID has a proof, UNKNOWN has a reason that names what is
    missing or which limit was hit.
    """

    model: str
    level: str
    verdict: Verdict
    reason: str
    """The verdict in one sentence."""
    anomalies: tuple[Anomaly, ...] = ()
    proof: Proof | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """How much was judged: ``operations``, ``reads``, ``keys`` and what else a model counts."""
    notes: tuple[str, ...] = ()
    """What a reader should know beside the verdict: lines left out, anomalies that it permits."""

    @classmethod
    def compared(  # noqa: PLR0913 (what an answer says)
        cls,
        *,
        model: str,
        level: str,
        anomalies: Sequence[Anomaly],
        holds: str,
        proof: Proof,
        counts: Mapping[str, int],
        notes: tuple[str, ...] = (),
        refuted_by: int = 0,
    ) -> Self:
        """The answer of a model that compares what was read, and searches for no order.

        Args:
            model: its name.
            level: what was asked.
            anomalies: what contradicts it; VALID where there is none.
            holds: the reason of VALID.
            proof: what was compared.
            counts: how much was judged.
            notes: what a reader should know beside the verdict.
            refuted_by: which sentence of the first anomaly is the reason of INVALID.
        """
        return cls(
            model=model,
            level=level,
            verdict=Verdict.INVALID if anomalies else Verdict.VALID,
            reason=anomalies[0].sentences[refuted_by] if anomalies else holds,
            anomalies=tuple(anomalies),
            proof=None if anomalies else proof,
            counts=counts,
            notes=notes,
        )

    def to_json(self) -> dict[str, object]:
        """Everything but the steps of the proof, with stable keys."""
        return {
            "model": self.model,
            "level": self.level,
            "verdict": self.verdict.word,
            "reason": self.reason,
            "anomalies": [
                {
                    "name": one.name,
                    "count": one.count,
                    "sentences": list(one.sentences),
                    "drawn": one.drawn,
                    "evidence": [dict(proof) for proof in one.evidence],
                }
                for one in self.anomalies
            ],
            "proof": None
            if self.proof is None
            else {"method": self.proof.method, "checked": self.proof.checked},
            "counts": dict(self.counts),
            "notes": list(self.notes),
        }
