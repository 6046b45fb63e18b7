"""The steps of early boot, each a function of one Boot, one module a concern; see memplan/boot/registry.py."""
