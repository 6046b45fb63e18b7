"""Kernels that come with memplan, kept in the user's cache folder as they were worked out of configs/.

Reading all rules to know one version costs more than the plan that wants them, and neither configs/ nor memplan
changes from one run to the next.  A kept kernel is plain data under a stamp, the sizes and times of all files that
have a say in it.  Where the stamp is another one, where the file or its folder is not the user's own or others may
write it, and where it is damaged, it counts for nothing: the kernel is worked out, and kept where that can be done.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from memplan.hotadd.rules import HotplugRules
from memplan.kernel.model import Kernel
from memplan.kernel.rules import Rules
from memplan.kernel.structures import StructRules
from memplan.kernel.unreplayed import Case, Unreplayed
from memplan.kernel.version import KernelVersion, Release
from memplan.memblock.rules import MemblockRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: The rooms and modules whose code has a say in what a kernel is.
MAKERS = (
    *("hotadd", "kernel", "klog", "machine", "memblock"),
    *("configs.py", "errors.py", "files.py", "printable.py", "units.py"),
)
_SUFFIX = ".kernel"
#: The longest file that is read, and so many kernels are kept.
_MOST_BYTES = 1 << 20
_MOST_KERNELS = 200
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
#: What memplan's files say from now on may not be what this process has read of them.
_BEGUN = time.time_ns()


def kept(name: str, configs: str, make: Callable[[str], Kernel]) -> Kernel:
    """The kernel that `make` makes of `name`, of what memplan's own files and those in the folder `configs` say."""
    folder = _folder()
    if folder is None:
        return make(name)
    code = [found for own in MAKERS for found in _stamp(os.path.join(_PACKAGE, own), ".py")]
    stamp = tuple(sorted(code)), tuple(sorted(_stamp(configs, ".yaml")))
    path = os.path.join(folder, name + _SUFFIX)
    found = _read(path, stamp)
    if found is None:
        found = make(name)
        if max(changed for files in stamp for _, _, changed in files) < _BEGUN:
            _write(path, stamp, found)
    return found


def _folder() -> str | None:
    """Where kernels are kept by this python for this installation; None where the user has no cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        cache = os.path.expanduser("~/.cache")
    if not os.path.isabs(cache):
        return None
    return os.path.join(cache, "memplan", f"{crc32(_PACKAGE.encode()):08x}.{sys.implementation.cache_tag}")


def _stamp(path: str, suffix: str) -> Iterator[tuple[str, int, int]]:
    """The path, the size and the time of the last change of the file, or of each such file below the folder."""
    if path.endswith(suffix):
        status = os.stat(path)
        yield path, status.st_size, status.st_mtime_ns
    elif "." not in os.path.basename(path) and os.path.isdir(path):
        for name in os.listdir(path):
            yield from _stamp(os.path.join(path, name), suffix)


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE


def _read(path: str, stamp: object) -> Kernel | None:
    """The kernel in the file at `path` under that stamp; None for anything else."""
    try:
        if not _is_own(os.stat(os.path.dirname(path))):
            return None
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) and _is_own(status) and status.st_size <= _MOST_BYTES):
                return None
            data = file.read()
        if crc32(data[4:]) != int.from_bytes(data[:4], "little"):
            return None
        own, row = marshal.loads(data[4:])
    except (OSError, ValueError, EOFError, TypeError):
        return None
    return _kernel(row) if own == stamp else None


def _plain(value: Any) -> Any:
    """`value` as what marshal writes: without classes of memplan's own."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return dict(value) if isinstance(value, Mapping) else value


def _kernel(row: Any) -> Kernel:
    """The kernel of which `row` is the plain form."""
    kernel = Kernel(*row)
    rules = Rules(*kernel.rules)
    release, sublevel = rules.version
    rules = rules._replace(
        version=KernelVersion(Release(*release), sublevel),
        memblock=MemblockRules(*rules.memblock),
        hotplug=HotplugRules(*rules.hotplug),
        structs=StructRules(*rules.structs),
        unreplayed=tuple(
            Unreplayed(name, what, first, until, tuple(Case(*case) for case in cases))
            for name, what, first, until, cases in rules.unreplayed
        ),
    )
    return kernel._replace(rules=rules)


def _write(path: str, stamp: object, kernel: Kernel) -> None:
    """Keep `kernel` under that stamp, whole or not at all."""
    row: Any = (stamp, _plain(kernel))
    data = marshal.dumps(row)
    folder = os.path.dirname(path)
    own = f"{path}.{os.getpid()}"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not _is_own(os.stat(folder)) or len(os.listdir(folder)) >= _MOST_KERNELS:
            return
        try:
            with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(crc32(data).to_bytes(4, "little") + data)
            os.replace(own, path)
        except BaseException:
            os.unlink(own)
            raise
    except (OSError, ValueError):
        return
