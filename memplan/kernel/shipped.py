"""The kernels that come with memplan: their names and files."""

from __future__ import annotations

import os
import re

from memplan.configs import config_folder

_FOLDER = "kernels"


def kernel_names() -> list[str]:
    """The kernels that come with memplan: generic versions first, then builds."""
    names = [
        name.removesuffix(".yaml") for name in os.listdir(os.path.dirname(kernel_file(""))) if name.endswith(".yaml")
    ]
    return sorted(names, key=lambda name: (not name[0].isdigit(), [int(n) for n in re.findall(r"\d+", name)], name))


def kernel_file(name: str) -> str:
    """Where the file of the kernel of that name is, if it has one."""
    return os.path.join(config_folder(), _FOLDER, f"{name}.yaml")
