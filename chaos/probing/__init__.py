"""Asks the nodes of a cluster who is let in to what, and what their logs have of it."""
