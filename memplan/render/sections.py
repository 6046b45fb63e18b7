"""The parts of a plan's report that can be asked for by name; apart from the report, so that help need not load it."""

SECTIONS = ("reserved", "page-tables", "direct-map", "movable", "nodes", "zones", "warnings")
