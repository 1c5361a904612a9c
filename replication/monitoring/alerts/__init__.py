"""Alert rules for Prometheus."""
