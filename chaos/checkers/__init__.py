"""Checkers: pure functions from a run's evidence to findings.

A checker (``base.py``) is one file here and one line in ``registry.py``; one that judges a single
workload stands beside that (``chaos/workloads``). ``judge`` runs them all.
"""
