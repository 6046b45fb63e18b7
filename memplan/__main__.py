"""``python -m memplan``: the command line."""

from memplan.cli import main

main()
