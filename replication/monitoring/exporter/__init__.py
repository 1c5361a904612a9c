"""``bascule exporter``: asks every member of a cluster, and exports the answers to Prometheus."""
