"""How a process gets in: credentials, TLS, addresses."""
