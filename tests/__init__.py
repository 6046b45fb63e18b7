"""The tests; each folder mirrors one of memplan."""
