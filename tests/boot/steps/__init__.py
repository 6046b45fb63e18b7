"""Tests of the boot steps."""
