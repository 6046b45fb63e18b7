"""The replay of early boot: one function a step, one module a concern."""
