"""Renderers of a plan, one a format."""
