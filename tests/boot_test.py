"""Boots described machines in QEMU with the Debian kernels of the day, and holds their plans against the boots.

    python tests/boot_test.py [--cache FOLDER] [--jobs N]

The kernels are whatever Debian's package lists give today; their facts are learned from the packages.  One line is
printed for every boot.  Exit status: 0 every plan equals its boot, or SKIPPED, as said, where QEMU or the packages
can't be had; 1 a plan differs or a boot failed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from memplan import qemu, trial
from memplan.errors import MemplanError, UsageError
from memplan.kernel.model import Kernel
from memplan.machine.load import load_machine
from memplan.render.comparison import text_lines

ROOT = Path(__file__).parent.parent
MACHINES = ROOT / "tests" / "guests"
#: Debian's packages that depend on the newest image of a series: the release's own kernel first.
META = re.compile(r"^linux-image(?:-(\d+\.\d+))?-amd64$")
#: Seconds for one boot; software emulation needs some ten.
SECONDS = 150.0
#: A kernel more than one is booted on these machines only.
SECOND = ("hot-nodes", "crash-kernel")


class Build(NamedTuple):
    """A kernel package, unpacked, and its facts."""

    image: Path
    kernel: Kernel


class Unavailable(Exception):
    """A package or a program can't be had here."""


def output_of(*words: str, folder: Path | None = None) -> str:
    """What a program prints; Unavailable where it is missing or fails."""
    try:
        done = subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{words[0]}: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"{' '.join(words[:2])}: {last}")
    return done.stdout


def image_packages() -> list[str]:
    """The packages with the images that Debian's meta packages depend on today, at most two series."""
    names = output_of("apt-cache", "pkgnames", "linux-image").split()
    metas = sorted((found[1] or "", name) for name in names if (found := META.match(name)))
    packages = []
    for _, meta in metas:
        depends = re.search(r"Depends: (linux-image-\S+)", output_of("apt-cache", "depends", meta))
        if depends and depends[1] not in packages:
            packages.append(depends[1])
    if not packages:
        raise Unavailable("apt knows no linux-image-amd64 (no package lists, or not Debian)")
    return packages[:1] + packages[1:][-1:]


def build_of(package: str, cache: Path) -> Build:
    """The package's kernel, downloaded and unpacked into `cache` where it is not there yet."""
    folder = cache / package
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as name:
            output_of("apt-get", "download", package, folder=Path(name))
            (archive,) = Path(name).glob("*.deb")
            unpacked = Path(name) / "unpacked"
            output_of("dpkg", "-x", str(archive), str(unpacked))
            shutil.move(unpacked / "boot", folder)
    image, config = (next(iter(folder.glob(f"{kind}-*")), None) for kind in ("vmlinuz", "config"))
    if image is None:
        raise Unavailable(f"{package} holds no boot/vmlinuz-…")
    return Build(image, trial.learned_kernel(image, config, folder))


def try_boot(build: Build, path: Path, say: Speaker) -> bool:
    """Boot `build` on the machine at `path`; whether the plan equals the boot."""
    name = f"{path.stem} with {build.kernel.release}"
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memplan-") as folder:
        try:
            guest = qemu.guest_of(load_machine(path), upgrades=trial.takes_tables(build.kernel))
            result = trial.run(
                guest,
                build.image,
                build.kernel,
                initrd=Path(folder) / "initrd.cpio",
                log=Path(folder) / "boot.log",
                seconds=SECONDS,
                progress=lambda lines, _: say.progress(name, lines),
            )
        except MemplanError as error:
            say.line(f"FAIL {name}: {error}")
            return False
    lines = list(text_lines(result, name))
    if result.same:
        say.line(f"ok   {lines[0]} ({time.monotonic() - begin:.0f} s)")
    else:
        say.line("FAIL " + "\n     ".join(lines))
    return result.same


class Speaker:
    """Prints whole lines from several threads, and on a terminal how far each boot is below them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, int] = {}
        self._terminal = sys.stdout.isatty()

    def progress(self, name: str, lines: int) -> None:
        if self._terminal:
            with self._lock:
                self._lines[name] = lines
                print("\r" + "; ".join(f"{key}: {n} lines" for key, n in self._lines.items()) + "\x1b[K\r", end="")
                sys.stdout.flush()

    def line(self, text: str) -> None:
        with self._lock:
            self._lines = {name: n for name, n in self._lines.items() if name not in text}
            print(text + ("\x1b[K" if self._terminal else ""), flush=True)


def builds(cache: Path) -> list[Build]:
    """The kernels of today: one at least, else Unavailable; a second one where it can be had."""
    try:
        qemu.find_program()
    except UsageError as error:
        raise Unavailable(str(error)) from None
    cache.mkdir(parents=True, exist_ok=True)
    found: list[Build] = []
    for package in image_packages():
        print(f"     kernel package {package}", flush=True)
        try:
            found.append(build_of(package, cache))
        except Unavailable as error:
            if not found:
                raise
            print(f"     left out: {error}", flush=True)
    return found


def pairs(kernels: Iterable[Build]) -> list[tuple[Build, Path]]:
    """What is booted: every machine with the first kernel, some with the others."""
    machines = sorted(MACHINES.glob("*.yaml"))
    first, *others = kernels
    chosen = [(first, path) for path in machines]
    return chosen + [(build, path) for build in others for path in machines if path.stem in SECOND]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "kernels", help="where packages are kept")
    parser.add_argument("--jobs", type=int, default=2, help="boots at a time (default: 2)")
    args = parser.parse_args()
    try:
        kernels = builds(args.cache)
    except Unavailable as error:
        print(f"boot test SKIPPED: {error}")
        return 0
    say = Speaker()
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda pair: try_boot(pair[0], pair[1], say), pairs(kernels)))
    print(f"boot test: {sum(results)} of {len(results)} plans equal their boots")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
