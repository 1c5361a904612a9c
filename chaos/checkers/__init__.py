"""Checkers: pure functions from a run's evidence to findings.

One module a checker, each with ``check(run) -> list[Finding]``, and one line in ``registry.py``.
``judge`` runs them all.
"""
