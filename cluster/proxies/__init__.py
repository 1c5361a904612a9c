"""HAProxy and PgBouncer as processes of hosts, configured from the topology."""
