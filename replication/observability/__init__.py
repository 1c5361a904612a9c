"""What happens, told to logs, metrics and traces."""
