"""Laws that hold for the plan of every machine."""
