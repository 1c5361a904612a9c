"""Raises the sites (or attaches to them): processes, HTTP, etcd and network, never SQL data."""
