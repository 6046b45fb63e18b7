"""Tells which share of the branches the tests take, of a report of coverage.py in JSON: `make coverage`.

Lines are easily run: counted together with them, branches that are never taken hardly show.  The status is 1 where the
branches alone are fewer than pyproject.toml wants of both together.

    python -m tests.branches REPORT
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(report: str) -> int:
    """Print both shares; the exit status."""
    totals = json.loads(Path(report).read_text())["totals"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]["fail_under"]
    taken, there = totals["covered_branches"], totals["num_branches"]
    share = 100 * taken / there
    print(f"branches: {share:.2f} % ({taken} of {there}); lines and branches: {totals['percent_covered']:.2f} %")
    return 0 if share >= wanted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
