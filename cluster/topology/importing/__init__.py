"""A topology from the configuration files of a real Patroni cluster (``topologies import``)."""
