"""Breaks a cluster on purpose and judges what happened: drills, checkers, reports, the command."""
