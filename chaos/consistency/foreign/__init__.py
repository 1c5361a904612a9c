"""Histories of other tools: one module a format, which reads it into what our judges take."""
