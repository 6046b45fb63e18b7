"""Work spread over processes, each item's result in the items' order, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from memplan.progress import unheard

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds after which a process that has nothing to do looks whether the one that started it is still there.
_PATIENCE = 2.0


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    lost: Callable[[Item, int], Result],
    done: Callable[[Item, Result], None] = unheard,
) -> Generator[Result, None, None]:
    """The results of `function` for `items`, in their order, worked out by `jobs` processes, or as many as can be had.

    Where none can be had, this process works.  Where one dies over an item, ``lost(item, status)`` is its result (the
    status as in `multiprocessing.Process.exitcode`), and another process goes on with the rest.  `done` hears of each
    result as soon as it is there, while that of an item before it may not be.
    """
    workers: list[_Worker[Item, Result]] = []
    results: dict[int, Result] = {}
    given = 0

    def hand_out() -> None:
        nonlocal given
        for worker in workers:
            if worker.item is None and given < len(items):
                worker.take(given, items[given])
                given += 1

    try:
        _start(workers, function, min(jobs, len(items)))
        hand_out()
        for index in range(len(items)):
            while index not in results:
                if not workers:
                    results[index] = function(items[index])
                    done(items[index], results[index])
                    break
                for worker in _answered(workers):
                    number = worker.item
                    assert number is not None
                    try:
                        results[number] = worker.result()
                    except (EOFError, OSError):
                        results[number] = lost(items[number], worker.end())
                        workers.remove(worker)
                        with suppress(OSError):
                            workers.append(_Worker(function))
                    done(items[number], results[number])
                # Whoever asks for the results may take time over each; the processes go on meanwhile.
                hand_out()
            yield results.pop(index)
    finally:
        for worker in workers:
            worker.end()


def _start(workers: list[_Worker[Item, Result]], function: Callable[[Item], Result], count: int) -> None:
    """Add up to `count` processes to `workers`, or as many as can be had."""
    while len(workers) < count:
        try:
            workers.append(_Worker(function))
        except OSError:
            if len(workers) > 1:
                # What it took is left for what else may be needed.
                workers.pop().end()
            return


class _Worker(Generic[Item, Result]):
    """One process; `item` is the number of the item that it has, None while it has none.

    It is forked, whatever Python's default is: it has all modules loaded then, and knows its parent.
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        context = get_context("fork")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(function, theirs, os.getpid()), daemon=True)
        # An interrupt is for the process that starts it, from the first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        except OSError:
            self.connection.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.item: int | None = None

    def take(self, number: int, item: Item) -> None:
        """Give it an item; that it is dead shows when its result is asked for."""
        self.item = number
        with suppress(OSError):
            self.connection.send(item)

    def result(self) -> Result:
        """What it made of its item; EOFError or OSError where it died."""
        result: Result = self.connection.recv()
        self.item = None
        return result

    def end(self) -> int:
        """End the process, by a signal that can't get lost while it begins; its exit status."""
        self.connection.close()
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


def _answered(workers: list[_Worker[Item, Result]]) -> list[_Worker[Item, Result]]:
    """The workers that have an answer, or have died, once there is one."""
    ready = wait([worker.connection for worker in workers if worker.item is not None])
    return [worker for worker in workers if worker.connection in ready]


def _serve(function: Callable[[Item], Result], connection: Connection, parent: int) -> None:
    """What a process does: an item in, its result out, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        while os.getppid() == parent:
            if connection.poll(_PATIENCE):
                connection.send(function(connection.recv()))
    except (EOFError, OSError):
        return
