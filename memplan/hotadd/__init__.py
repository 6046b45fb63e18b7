"""Memory that is added after boot, what becomes of it, and whether it can go again."""
