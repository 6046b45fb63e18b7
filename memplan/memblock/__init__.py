"""The boot-time allocator: regions, flags, nodes and direction, and nothing of machines, steps or screens."""
