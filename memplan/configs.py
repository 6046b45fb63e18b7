"""Where the data files are that come with memplan."""

from __future__ import annotations

import os


def config_folder() -> str:
    """The folder of the data files: inside the installed package, or beside it in a checkout."""
    package = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(package, "configs")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(package), "configs")
