"""Faults: one file each."""
