"""The container substrate: sites as networks, hosts as containers of one compose project."""
