"""Fuzzing for as long as one likes: ``python -m tests.fuzz [--minutes M] [--seed N] [TARGET ...]``.

With atheris installed the inputs are guided by coverage; else they are mutations of good ones.  Each input may take
ten seconds and a gigabyte.  An input that breaks the contract is kept as ``fuzz-TARGET-HASH`` in the current folder and
its traceback printed; the status is then 1.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import SEEDS, TARGETS, run

_SECONDS = 10
_BYTES = 1 << 30


def main() -> int:
    """Fuzz the targets in turn; the status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="keep what atheris finds, and begin from it")
    words = parser.parse_args()
    targets = words.targets or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    guided = _has_atheris() and not words.plain
    if not guided:
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES + (1 << 29), resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, _too_slow)
    share = words.minutes * 60 / len(targets)
    broken = 0
    for name in targets:
        broken += _guided(name, share, words.seed, words.corpus) if guided else _mutations(name, share, words.seed)
    return 1 if broken else 0


def _has_atheris() -> bool:
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {_SECONDS} seconds")


def _broken(name: str, data: bytes) -> bool:
    """Whether `data` breaks the contract; it is kept then."""
    signal.alarm(_SECONDS)
    try:
        run(TARGETS[name], data)
    except Exception:
        signal.alarm(0)
        traceback.print_exc()
        file = Path(f"fuzz-{name}-{sha256(data).hexdigest()[:12]}")
        file.write_bytes(data)
        print(f"{name}: broken by {file}", file=sys.stderr)
        return True
    finally:
        signal.alarm(0)
    return False


def _mutations(name: str, seconds: float, seed: int) -> int:
    numbers = random.Random(f"{seed} {name}")
    end = time.monotonic() + seconds
    done = broken = 0
    while time.monotonic() < end:
        broken += _broken(name, mutated(numbers, SEEDS[name]))
        done += 1
    print(f"{name}: {done} inputs, {broken} broken", flush=True)
    return broken


def _guided(name: str, seconds: float, seed: int, kept: Path | None) -> int:
    """The target under atheris, in a process of its own, which libFuzzer ends; 1 where it broke."""
    import os
    import tempfile

    child = os.fork()
    if child:
        return 0 if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else 1
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) if kept is None else kept / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(SEEDS[name]):
            (corpus / f"seed-{number}").write_bytes(data)
        atheris.instrument_all()
        limits = [f"-max_total_time={int(seconds)}", f"-timeout={_SECONDS}", "-max_len=65536", f"-seed={seed or 1}"]
        limits += [f"-rss_limit_mb={_BYTES >> 20}", "-verbosity=1", "-print_final_stats=1"]
        atheris.Setup(
            [name, *limits, f"-artifact_prefix=fuzz-{name}-", str(corpus)], lambda data: run(TARGETS[name], data)
        )
        atheris.Fuzz()
    return 0


sys.exit(main())
