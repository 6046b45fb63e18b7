"""Tests of memplan.memblock."""
