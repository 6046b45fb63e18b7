"""Mutation testing: changes the planner's code in small ways and counts how many of the changes the tests find."""
