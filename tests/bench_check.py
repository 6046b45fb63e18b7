"""Cost of `memplan check` with many files: what two processes take beside one, and memory against their number."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import memplan
from tests.bench import BIN, GIB, machine_text, ratio, show

FILES = 1_000
JOBS = 2
#: The processor time of processes beside what the checks alone take in one; and how much more memory a thousand files
#: may take than a hundred.
MOST_TIME = 1.6
MOST_GROWTH = 1.1
_PEAK = (
    "import resource, sys; from memplan.cli.group import group; group.main(sys.argv[1:], standalone_mode=False); "
    "peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]; "
    "print(*peaks, file=sys.stderr)"
)


def check(files: list[Path], report: Path) -> list[int]:
    """Check `files`; the peak memory of the process and of its largest child in KiB."""
    words = ["check", *map(str, files), "--jobs", str(JOBS), "--format", "json", "-o", str(report)]
    done = subprocess.run([sys.executable, "-c", _PEAK, *words], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stderr.split()[-2:]]


def main() -> int:
    """Measure; exit status 1 where a limit is passed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number:04}.yaml" for number in range(FILES)]
        for number, file in enumerate(files):
            file.write_text(machine_text(8, (8 + number % 8) * GIB))
        words = [BIN / "memplan", "check", *files, "--jobs", str(JOBS), "--format", "json", "-o", folder / "all.json"]

        def spread() -> object:
            return subprocess.run([str(word) for word in words], capture_output=True, check=False)

        start = time.perf_counter()
        spread()
        passed = time.perf_counter() - start
        cost = ratio(spread, lambda: [memplan.check(file) for file in files], 1)
        few, many = check(files[: FILES // 10], folder / "few.json"), check(files, folder / "many.json")
    good = [
        show(f"check --jobs {JOBS} of {FILES} machines of 8 nodes / one by one here", cost, MOST_TIME),
        show("peak memory of 1000 files / of 100", many[0] / few[0], MOST_GROWTH),
        show("peak memory of a child at 1000 files / at 100", many[1] / few[1], MOST_GROWTH),
    ]
    own, child = (kib / 1024 for kib in many)
    print(f"{FILES / passed:.0f} files a second here and now; {own:.0f} MiB, and {child:.0f} MiB in a child")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
