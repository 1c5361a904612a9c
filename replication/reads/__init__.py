"""Reads, and what may be promised of their answers."""
