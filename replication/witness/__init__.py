"""Replaces a dead primary before its ttl: a daemon beside Patroni, one a site."""
