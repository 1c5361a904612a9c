"""Scenarios: drills as data."""
