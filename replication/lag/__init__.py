"""How far the replicas are behind, in bytes and in seconds, measured so that it can be believed.

The arithmetic is pure (``beats``, ``positions``, ``standing``); what it is done on comes from
``sql_answer`` and ``patroni_answer``. Who asks, and when, is ``replication.exporter``.
"""
