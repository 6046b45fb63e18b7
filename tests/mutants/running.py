"""How mutants are tried: each in a process forked from one that has imported what the tests need, and no memplan yet.

The changed text of a module is compiled in memory when the module is imported, so no file is ever changed.
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import os
import pickle
import pkgutil
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import CodeType, ModuleType

    from tests.mutants.proposals import Mutant

#: More memory than any test needs; a mutant that asks for more has been found.
_BYTES = 4 << 30
_NO_PLUGINS = ("no:cacheprovider", "no:xdist", "no:cov")
_OPTIONS = (
    "-x",
    "-q",
    "--assert=plain",
    "--hypothesis-seed=0",
    *(word for plugin in _NO_PLUGINS for word in ("-p", plugin)),
)


class Coverage(NamedTuple):
    """Which tests run which lines, and how long each test takes."""

    #: module -> line -> the tests that run it.
    tests: dict[str, dict[int, set[str]]]
    #: module -> the lines that run as it is imported.
    imported: dict[str, set[int]]
    seconds: dict[str, float]

    def finders(self, mutant: Mutant) -> list[str]:
        """The tests that may find the mutant: those that run its line, all where that runs on import."""
        lines = range(mutant.start[0], mutant.end[0] + 1)
        if not self.imported.get(mutant.module, set()).isdisjoint(lines):
            return list(self.seconds)
        by_line = self.tests.get(mutant.module, {})
        return sorted(set().union(*(by_line.get(line, set()) for line in lines)))

    def callers(self, module: str) -> set[str]:
        """The tests that run something in the module beyond what its import runs."""
        return set().union(*self.tests.get(module, {}).values())


def measure(tests: Sequence[str], *, fresh: bool) -> Coverage:
    """Run the tests once, unchanged; where `fresh`, each loads again what memplan keeps from one call to the next.

    Raises:
        RuntimeError: a test failed.
    """
    with tempfile.NamedTemporaryFile() as answer:
        status, _ = _forked(lambda: _measure(tests, fresh, Path(answer.name)), 3600)
        if status:
            raise RuntimeError(f"the tests fail without any mutant (status {status})")
        found: Coverage = pickle.loads(Path(answer.name).read_bytes())
        return found


def survives(mutant: Mutant, tests: Sequence[str], seconds: float, *, fresh: bool) -> tuple[bool, str]:
    """Whether the mutant passes the tests, run in their order until one fails; and the test that found it."""
    if not tests:
        return True, ""
    with tempfile.NamedTemporaryFile() as answer:
        status, killed = _forked(lambda: _try(mutant, tests, fresh, Path(answer.name)), seconds)
        return not killed and status == 0, Path(answer.name).read_text()


def _forked(work: Callable[[], int], seconds: float) -> tuple[int, bool]:
    """`work`'s status, and whether its process was ended, as when it takes so many seconds of the processor."""
    child = os.fork()
    if not child:
        try:
            quiet = os.open(os.environ.get("MUTANTS_OUT", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
            resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
            os._exit(work())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(99)
    # A process that waits takes no time of the processor.
    deadline = time.monotonic() + 10 * seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status, os.WIFSIGNALED(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 0, True
        time.sleep(0.005)


# -- in the forked process ---------------------------------------------------------------------------------------------


class _Settings:
    """Examples of hypothesis are the same for all mutants, and a failing one is not made smaller.

    Kernels that memplan has worked out are kept for all mutants, unless they have a say in it: then `fresh`.
    """

    def __init__(self, fresh: bool) -> None:
        self.fresh = fresh

    def pytest_sessionstart(self) -> None:
        if not self.fresh:
            os.environ["XDG_CACHE_HOME"] = os.path.abspath(".cache")
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", deadline=None, database=None, phases=phases)
        hypothesis.settings.load_profile("mutants")


class _Chosen(_Settings):
    """Runs the tests that are named, in their order, and keeps the name of the first that fails."""

    def __init__(self, tests: Sequence[str], fresh: bool, answer: Path) -> None:
        super().__init__(fresh)
        self._order = {test: number for number, test in enumerate(tests)}
        self._answer = answer

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._order), key=lambda i: self._order[i.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._answer.write_text(report.nodeid)


class _Measuring(_Settings):
    """Notes what each test runs."""

    def __init__(self, fresh: bool) -> None:
        from coverage import Coverage as Measure

        super().__init__(fresh)
        self.measure = Measure(data_file=None, source_pkgs=["memplan"], config_file=False)
        self.seconds: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None]:
        if self.fresh:
            # No folder to keep kernels in.
            os.environ.update(XDG_CACHE_HOME="", HOME=".")
            for thing in gc.get_objects():
                if isinstance(thing, _lru_cache_wrapper) and str(thing.__module__).startswith("memplan."):
                    thing.cache_clear()
        self.measure.switch_context(item.nodeid)
        start = time.process_time()
        yield
        self.seconds[item.nodeid] = time.process_time() - start
        self.measure.switch_context("")


def _measure(tests: Sequence[str], fresh: bool, answer: Path) -> int:
    plugin = _Measuring(fresh)
    plugin.measure.start()
    # A module that a test imports as it runs would look as if no other test depended on its constants.
    for found in pkgutil.walk_packages(["memplan"], "memplan."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    status = pytest.main([*_OPTIONS, *tests], plugins=[plugin])
    plugin.measure.stop()
    data = plugin.measure.get_data()
    by_module: dict[str, dict[int, set[str]]] = {}
    imported: dict[str, set[int]] = {}
    for name in data.measured_files():
        module = os.path.relpath(name)
        for line, contexts in data.contexts_by_lineno(name).items():
            by_module.setdefault(module, {})[line] = {context for context in contexts if context}
            if "" in contexts:
                imported.setdefault(module, set()).add(line)
    answer.write_bytes(pickle.dumps(Coverage(by_module, imported, dict(plugin.seconds))))
    return int(status)


def _try(mutant: Mutant, tests: Sequence[str], fresh: bool, answer: Path) -> int:
    sys.meta_path.insert(0, _Finder(mutant))
    files = dict.fromkeys(test.split("::")[0] for test in tests)
    return int(pytest.main([*_OPTIONS, *files], plugins=[_Chosen(tests, fresh, answer)]))


class _Finder:
    """Finds the mutant's module instead of the original."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Loader(name, os.path.abspath(self._mutant.module))
        loader.changed = self._mutant.text()
        return importlib.util.spec_from_file_location(name, loader.path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the changed text in the place of the file's."""

    changed = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.changed, self.path, "exec", dont_inherit=True)
