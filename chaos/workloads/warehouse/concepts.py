"""The vocabulary of the warehouse: made up, as the real ones are licensed. Without numpy, since
every reader of scenarios loads it."""

from __future__ import annotations

CONCEPTS: tuple[tuple[str, str, str], ...] = (
    *((f"Tumeur {n}", "Condition", "Tumour") for n in range(1, 17)),
    *((f"Diagnostic {n}", "Condition", "Diagnosis") for n in range(1, 17)),
    *((f"Acte {n}", "Procedure", "Procedure") for n in range(1, 17)),
    *((f"Médicament {n}", "Drug", "Drug") for n in range(1, 17)),
    *((f"Biomarqueur {n}", "Measurement", "Biomarker") for n in range(1, 9)),
    *((f"Analyse {n}", "Measurement", "Lab Test") for n in range(1, 17)),
    *((f"Protocole {n}", "Drug", "Regimen") for n in range(1, 9)),
)
"""Name, domain and class. All of them are made up."""

FIRST_CONCEPT = 2_000_000_001
"""OMOP leaves the ids above two billion to the sites."""


def concept(name: str) -> int:
    """The id of a concept.

    Raises:
        KeyError: there is none of that name.
    """
    for number, (known, _, _) in enumerate(CONCEPTS):
        if known == name:
            return FIRST_CONCEPT + number
    raise KeyError(name)
