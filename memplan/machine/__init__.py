"""The machine description: model, YAML, command line."""
