"""Mutation testing: changes the planner's code in small ways and counts how many of the changes the tests find.

    python -m tests.mutants [--sample N] [--seed S] [PART ...]

Mutants are tried on a clone of HEAD.  Those that no test found are printed with their change, unless equivalent.yaml
tells why they do the same as the original.  Exit status: 0 where at least 90 % of each part's other mutants
were found.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.mutants import proposals, running

ROOT = Path(__file__).parent.parent.parent
EQUIVALENT = Path(__file__).parent / "equivalent.yaml"


class Part(NamedTuple):
    """Code, and the tests that are to find its mutants; `cached` where it keeps what it has read."""

    code: tuple[str, ...]
    tests: tuple[str, ...]
    cached: bool = False


_BOOT_TESTS = ("tests/boot", "tests/boots", "tests/laws", "tests/explain", "tests/reports")
PARTS = {
    "memblock": Part(("memplan/memblock",), ("tests/memblock", "tests/boot/test_memory.py")),
    "boot": Part(("memplan/boot",), _BOOT_TESTS),
    "kernel": Part(("memplan/kernel",), ("tests/kernel",), cached=True),
    "verdicts": Part(
        ("memplan/boot/verdicts.py", "memplan/boot/blocks.py", "memplan/boot/shares.py", "memplan/boot/steps/zones.py"),
        _BOOT_TESTS,
    ),
}
_WANTED = 0.9
#: How much longer than all its tests a mutant may take, and seconds on top.
_TIMES, _MORE = 4, 20


def main() -> int:
    """Try the parts that are named, or all; the status."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sample", type=int, default=150, help="mutants of each part")
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn")
    parser.add_argument("--seconds", type=float, default=30, help="at most so many seconds of tests for a mutant")
    parser.add_argument("--cloned", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if unknown := set(words.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not words.cloned:
        return _in_a_clone()
    sys.setrecursionlimit(10_000)
    shares = []
    for name in words.parts or PARTS:
        coverage = _measured(PARTS[name], words.cloned / ".cache")
        shares.append(_part(name, coverage, words.sample, words.seed, words.seconds))
    return 0 if min(shares) >= _WANTED else 1


def _in_a_clone() -> int:
    """The same again, on a clone of HEAD."""
    with tempfile.TemporaryDirectory(prefix="memplan-mutants-") as folder:
        subprocess.run(["git", "clone", "-q", str(ROOT), folder], check=True)
        words = [sys.executable, "-m", "tests.mutants", "--cloned", str(ROOT), *sys.argv[1:]]
        return subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": folder}, check=False).returncode


def _measured(part: Part, cache: Path) -> running.Coverage:
    """Which tests of the part run which lines; kept in the folder `cache` as long as neither code nor tests change."""
    trees = subprocess.run(["git", "rev-parse", "HEAD:memplan", "HEAD:tests"], check=True, capture_output=True).stdout
    kept = cache / f"mutants-{hashlib.sha1(trees + repr(part.tests).encode()).hexdigest()}.pickle"
    if not kept.exists():
        coverage = running.measure(part.tests, fresh=part.cached)
        cache.mkdir(exist_ok=True)
        kept.write_bytes(pickle.dumps(coverage))
    found: running.Coverage = pickle.loads(kept.read_bytes())
    return found


def _part(name: str, coverage: running.Coverage, sample: int, seed: int, seconds: float) -> float:
    """Try a part's mutants; the share that was found."""
    equivalent = _equivalent()
    deadly: Counter[str] = Counter()
    tried = same = 0
    survivors: list[str] = []
    for mutant in proposals.draw(PARTS[name].code, sample, seed):
        tried += 1
        before, after = mutant.lines()
        if (mutant.module, mutant.function(), before, after) in equivalent:
            same += 1
            continue
        tests = _within(seconds, coverage, mutant, deadly)
        limit = _TIMES * sum(coverage.seconds[test] for test in tests) + _MORE
        survived, finder = running.survives(mutant, tests, limit, fresh=PARTS[name].cached)
        deadly[finder] += 1
        print(f"\r{name}: {tried}", end="", file=sys.stderr, flush=True)
        if survived:
            survivors.append(mutant.module)
            place = f"{mutant.module}:{mutant.start[0]} {mutant.function()}"
            print(f"{place}, {len(tests)} tests\n- {before}\n+ {after}", flush=True)
    counted = tried - same
    killed = counted - len(survivors)
    share = killed / counted if counted else 1.0
    print(
        f"{name}: seed {seed}: {killed} of {counted} mutants killed ({share:.1%}), {len(survivors)} survived; "
        f"{same} more are equivalent and left out",
        flush=True,
    )
    return share


def _within(seconds: float, coverage: running.Coverage, mutant: proposals.Mutant, deadly: Counter[str]) -> list[str]:
    """The tests to run, up to so many seconds: those named after the module, then those that call its functions.

    Among them the deadliest come first: those that found the most mutants a second.
    """
    tests, callers = sorted(coverage.finders(mutant)), coverage.callers(mutant.module)
    named = f"/test_{Path(mutant.module).stem}.py"
    random.Random(0).shuffle(tests)
    tests.sort(
        key=lambda test: (
            named not in test,
            test not in callers,
            -(deadly[test] + 0.2) / (coverage.seconds[test] + 0.01),
        )
    )
    chosen: list[str] = []
    total = 0.0
    for test in tests:
        if chosen and total + coverage.seconds[test] > seconds:
            continue
        total += coverage.seconds[test]
        chosen.append(test)
    return chosen


def _equivalent() -> set[tuple[str, str, str, str]]:
    """(module, function, line before, line after) of the mutants that are known to do the same as the original."""
    listed = yaml.safe_load(EQUIVALENT.read_text())
    return {
        (module, function, change["before"], change["after"])
        for module, functions in listed.items()
        for function, changes in functions.items()
        for change in changes
    }


if __name__ == "__main__":
    sys.exit(main())
