"""Checkers: pure functions from a run's evidence to findings."""
