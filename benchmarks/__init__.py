"""Measurements: each a command that prints a table and ends with 1 when a bound is broken."""
