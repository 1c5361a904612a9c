"""How far the replicas are behind, in bytes and in seconds, measured reliably.

The arithmetic is pure (``beats``, ``positions``, ``standing``); its input comes from ``sql_answer``
and ``patroni.answers``. ``replication.monitoring.exporter`` asks, and decides when.
"""
