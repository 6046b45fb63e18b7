"""What a version does to memory that isn't replayed: configs/rules/unreplayed.yaml, asked for one boot."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from memplan.kernel.nodes import compose, fields_of, items_of, release_of, text_of, wrong
from memplan.kernel.rules import config_folder
from memplan.kernel.timeline import UNREPLAYED_FILE

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.kernel.version import Release

_KEYS = {"what", "from", "until", "options", "config", "table"}


class Unreplayed(NamedTuple):
    """One thing that isn't replayed, and when a boot comes to it; what is None or empty doesn't count."""

    what: str
    first: Release | None
    until: Release | None
    options: tuple[str, ...]
    config: str
    table: str


def unreplayed(kernel: Kernel, words: Container[str], tables: Container[str]) -> Iterator[str]:
    """What isn't replayed of a boot of `kernel` with these option words and ACPI tables, in words."""
    release = kernel.rules.version.release
    for one in _read(os.path.join(config_folder(), "rules", UNREPLAYED_FILE)):
        if (one.first is not None and release < one.first) or (one.until is not None and release >= one.until):
            continue
        if one.options and not any(option in words for option in one.options):
            continue
        if (one.config and not kernel.config(one.config)) or (one.table and one.table not in tables):
            continue
        yield f"not replayed: {one.what}"


@cache
def _read(path: str) -> tuple[Unreplayed, ...]:
    found = []
    for item in items_of(path, fields_of(path, compose(path), {"unreplayed"})["unreplayed"], "unreplayed"):
        entry = fields_of(path, item, _KEYS)
        if "what" not in entry or not {"options", "config", "table"} & set(entry):
            raise wrong(path, item, "unreplayed", "each should have what, and one of options, config, table")
        first, until = (release_of(path, entry[key], key) if key in entry else None for key in ("from", "until"))
        options = items_of(path, entry["options"], "options") if "options" in entry else ()
        found.append(
            Unreplayed(
                text_of(path, entry["what"], "what"),
                first,
                until,
                tuple(text_of(path, option, "options") for option in options),
                text_of(path, entry.get("config"), "config"),
                text_of(path, entry.get("table"), "table"),
            )
        )
    return tuple(found)
