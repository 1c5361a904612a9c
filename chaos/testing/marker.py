"""The marker ``survives``: its name, and when its fault strikes. Costs nothing to import."""

MARKER = "survives"
WITHIN_S = 0.5
"""The moment of the first fault is within this time of the test's begin. A judgement: a test of a
service takes longer, or says ``within_s=0``."""
