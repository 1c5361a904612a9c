"""Reads TOML files, with errors that name file, key and remedy."""
