"""Finding a kernel by name or by file, and changing single facts of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from memplan.configs import config_folder
from memplan.errors import UsageError
from memplan.kernel.facts import FactValue, is_right, misplaced, shown, wanted
from memplan.kernel.kept import kept
from memplan.kernel.model import Kernel
from memplan.kernel.rules import OLDEST
from memplan.kernel.shipped import kernel_file
from memplan.kernel.version import KernelVersion

if TYPE_CHECKING:
    from memplan.machine.model import KernelImage

#: So many kernels a process remembers; a sweep asks for the same ones again and again.
_MOST_REMEMBERED = 64


def is_kernel(name: str) -> bool:
    """Whether :func:`find_kernel` knows `name`: a kernel that comes with memplan, or a version that has rules."""
    if os.path.isfile(kernel_file(name)):
        return True
    try:
        return KernelVersion.parse(name).release >= OLDEST
    except UsageError:
        from memplan.kernel.builds import is_known

        return is_known(name)


def find_kernel(name_or_path: str) -> Kernel:
    """The kernel of that name in configs/kernels, or of the file at that path (has a "/" or ends in .yaml).

    A version without a file ("5.15.135"), a distribution ("rhel-8") or a release of one ("5.15.0-91-generic") gives a
    kernel of its rules with the facts of the nearest builds.  Raises UsageError for an unknown name, InputError for a
    file that is broken or is not there.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        from memplan.kernel.builds import kernel_of_file

        return kernel_of_file(name_or_path)
    return _found(name_or_path)


@lru_cache(_MOST_REMEMBERED)
def _found(name: str) -> Kernel:
    return kept(name, config_folder(), _made)


def _made(name: str) -> Kernel:
    from memplan.kernel.builds import kernel_of_name

    return kernel_of_name(name)


def kernel_named(kernel: str | Kernel) -> Kernel:
    """`kernel` itself, or the one of that name or at that path; errors as in :func:`find_kernel`."""
    return find_kernel(kernel) if isinstance(kernel, str) else kernel


def kernel_of(image: KernelImage, kernel: str | Kernel | None = None) -> Kernel:
    """The kernel that a machine with that `image` boots: `kernel` (a name, a file's path or a Kernel), or its own.

    Facts that the machine overrides go with its own build; of another kernel the notes say that they are left out.
    Raises UsageError for an unknown kernel, InputError for a file that is no kernel's.
    """
    found = kernel_named(kernel or image.build)
    if not image.overrides:
        return found
    if kernel is None or kernel == image.build:
        return override(found, image.overrides)
    note = f"facts that the machine overrides ({', '.join(image.overrides)}) are those of its own build"
    return found._replace(notes=(*found.notes, f"{note}, {image.build}, and are left out"))


def override(kernel: Kernel, mapping: Mapping[str, FactValue]) -> Kernel:
    """`kernel` with the facts of `mapping` (dotted names) in place of its own.

    Raises UsageError for a name that is no fact and for a value that this fact can't have.
    """
    if not mapping:
        return kernel
    check_values(mapping)
    facts = {**kernel.facts, **mapping}
    if wrong := misplaced(facts):
        lower, higher = (f"{name} ({facts[name]:#x})" for name in wrong)
        raise UsageError(f"{lower} would lie above {higher} with the facts that are given")
    sources = {**kernel.sources, **dict.fromkeys(mapping, "given by the user")}
    note = f"facts given by the user: {', '.join(f'{name}={mapping[name]}' for name in sorted(mapping))}"
    borrowed = kernel.borrowed - frozenset(mapping)
    return kernel._replace(facts=facts, sources=sources, notes=(*kernel.notes, note), borrowed=borrowed)


def check_values(mapping: Mapping[str, FactValue]) -> None:
    """UsageError unless every name in `mapping` is a fact's, and its value one that this fact may have."""
    from memplan.kernel.names import fact_names, nearest

    names = fact_names()
    for name, value in mapping.items():
        if name not in names:
            raise UsageError(f"a kernel has no fact {name!r}{nearest(name, names)}")
        if not is_right(name, value):
            raise UsageError(f"the fact {name} should be {wanted(name)}, found {shown(value)}")
