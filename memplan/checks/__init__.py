"""Rules for firmware tables and boot options, each with an id."""
