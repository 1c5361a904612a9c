"""Patroni: its configuration, its process, its REST API."""
