"""The embedded substrate: sites, hosts and links as namespaces of one machine, sealed, no root."""
