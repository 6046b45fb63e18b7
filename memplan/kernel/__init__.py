"""Which kernel: rules by version, facts by build, and learning them from a build."""
