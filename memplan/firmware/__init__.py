"""Readers of real things, one module a kind of source."""
