"""The smallest change that gives a machine what is wanted, or the proof that nothing does."""
