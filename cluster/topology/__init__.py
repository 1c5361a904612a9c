"""Topologies: sites, hosts and the settings of the cluster on them."""
