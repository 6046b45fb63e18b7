"""Records kept in a file as they come, so that a sweep which was killed goes on where it was."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from memplan.errors import InputError
from memplan.files import read_input, read_regular
from memplan.machine.load import MOST_BYTES
from memplan.sweep.case import loaded
from memplan.units import GIB

if TYPE_CHECKING:
    from types import TracebackType

    from memplan.sweep.case import Case, Record


_MOST_BYTES = GIB


class Journal:
    """The file at `path`: a line for each case that is done, with its key and its record.

    A case that could not be planned is not done: what kept it from that may be gone next time.  A line that was cut off
    in the middle is dropped; what else is no journal is refused with InputError.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._done: dict[str, Record] = {}
        data = read_regular(path, _MOST_BYTES, "a journal of a sweep") if os.path.exists(path) else b""
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            self._note(line, number)
        if data and not whole:
            raise InputError.single(path, "is no journal of a sweep", line=1)
        try:
            self._file = open(path, "r+b" if data else "wb")  # noqa: SIM115 - it is closed by __exit__
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        except OSError as error:
            raise InputError.single(path, f"can't be written: {error.strerror}") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def done(self, case: Case) -> Record | None:
        """The record of a case that is done, None for one that isn't."""
        return self._done.get(key_of(case))

    def keep(self, case: Case, record: Record) -> None:
        """Writes the record of `case` down, if it is done, so that it is there even if the machine stops now."""
        if "error" in record:
            return
        self._file.write(json.dumps({"case": key_of(case), "record": record}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _note(self, line: bytes, number: int) -> None:
        try:
            entry = json.loads(line)
            self._done[str(entry["case"])] = dict(entry["record"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError.single(self._path, "is no journal of a sweep", line=number) from None


def key_of(case: Case) -> str:
    """What tells one case from all others: what is asked, and the files that it is asked of as they are now."""
    kernel = _kernel_file(case)
    return json.dumps([_digest(case.machine), *([_digest(kernel)] if kernel is not None else []), *case])


def _kernel_file(case: Case) -> str | None:
    """The file of the case's kernel; None where that comes with memplan."""
    name = case.kernel
    if name is None:
        try:
            name = loaded(case.machine).kernel.build
        except InputError:
            return None
    return name if os.path.isfile(name) else None


@lru_cache(None)
def _digest(path: str) -> str:
    from hashlib import sha256

    try:
        return sha256(read_input(path, MOST_BYTES, "a description in YAML")).hexdigest()
    except InputError:
        return ""
