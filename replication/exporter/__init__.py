"""``bascule exporter``: asks every member of a cluster, and shows Prometheus what they said."""
