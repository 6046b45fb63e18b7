"""Runs tests on every Python that memplan supports and with the ends of its dependencies' ranges: `make compat`.

A Python is looked for as pythonX.Y, among pyenv's and uv's.  On each, the tests run twice: with the lowest versions
that pyproject.toml allows there, and with the newest.  Prints a line for each run and one for what could not be found;
the status is 1 where a test fails, or none could be run.

    python -m tests.compat [TESTS...]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "compat"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: What the tests need beside memplan's own dependencies; the extra ones of memplan come in their newest versions.
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema", f"{ROOT}[kernel,report]")
#: What depends on the language and on libraries: the command line and its files, descriptions, what is printed.
SELECTION = (
    "cli",
    "machine",
    "render",
    "checks/test_cli.py",
    "checks/test_formats.py",
    "earlier",
    "firmware/test_combine.py",
    "hotadd/test_command.py",
    "kernel/test_build_file.py",
    "memblock",
    "report/test_page.py",
    "sweep/test_engines.py",
    "test_files.py",
    "test_library.py",
    "test_workers.py",
)


class Outcome(NamedTuple):
    """What came of one run: `versions` of the dependencies, and pytest's last line."""

    python: str
    ends: str
    versions: str
    passed: bool
    text: str


def dependencies(python: str) -> list[Requirement]:
    """What pyproject.toml asks for on that version of Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["dependencies"])
    return [own for own in wanted if own.marker is None or own.marker.evaluate({"python_version": python})]


def lowest(requirement: Requirement) -> str:
    """`requirement` at its lower limit."""
    (limit,) = (own.version for own in requirement.specifier if own.operator == ">=")
    return f"{requirement.name}=={limit}"


def interpreter(version: str) -> str | None:
    """The program that is Python of that version; None where it can't be found."""
    return next((path for path in _candidates(version) if _version(path).startswith(f"{version}.")), None)


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from (str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python")))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False).stdout
        if found.strip():
            yield found.strip()


def _version(path: str) -> str:
    """What the program at `path` says that it is; "" where it does not run."""
    words = [path, "-c", "import ensurepip, venv, sys; print(sys.version.split()[0])"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def run(version: str, program: str, ends: str, tests: list[str]) -> Outcome:
    """The tests on the Python `program`, with the "lowest" or the "newest" dependencies."""
    folder = CACHE / f"{version}-{ends}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([program, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    wanted = dependencies(version)
    pins = [lowest(own) for own in wanted] if ends == "lowest" else [own.name for own in wanted]
    # Dependencies that have to be built here would be other ones than people get.
    pip = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--prefer-binary"]
    done = subprocess.run([*pip, *pins, *TOOLS], capture_output=True, text=True, check=False)
    if done.returncode:
        return Outcome(_version(program), ends, " ".join(pins), False, f"can't be installed: {done.stderr[-2000:]}")
    words = [python, "-m", "pytest", "-n", "auto", "-p", "no:cacheprovider", *tests]
    # The tests read the source tree, not what is installed of it.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    tested = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    text = tested.stdout.rstrip() if tested.returncode else _sum(tested.stdout)
    return Outcome(_version(program), ends, _installed(python, wanted), tested.returncode == 0, text)


def _installed(python: str, wanted: list[Requirement]) -> str:
    code = (
        "import sys\nfrom importlib.metadata import version\n"
        "print(*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    words = [python, "-c", code, *(own.name for own in wanted)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _sum(output: str) -> str:
    """pytest's line that counts the tests."""
    found = re.findall(r"\d+ passed.*", output)
    return found[-1].strip("= ") if found else "no test ran"


def main() -> int:
    """Run all that can be run; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("tests", nargs="*", default=[f"tests/{name}" for name in SELECTION])
    tests = arguments.parse_args().tests
    programs = {version: interpreter(version) for version in PYTHONS}
    failed = False
    for version, program in programs.items():
        for ends in ("lowest", "newest") if program is not None else ():
            assert program is not None
            outcome = run(version, program, ends, tests)
            failed |= not outcome.passed
            verdict = "" if outcome.passed else "FAILED: "
            print(f"Python {outcome.python}, {ends} ({outcome.versions}): {verdict}{outcome.text}", flush=True)
    missing = [version for version, program in programs.items() if program is None]
    if missing:
        print(f"not found here, so not run: Python {', '.join(missing)}")
    return 1 if failed or len(missing) == len(programs) else 0


if __name__ == "__main__":
    sys.exit(main())
