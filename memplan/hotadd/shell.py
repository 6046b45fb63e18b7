"""What a command on the running machine writes to the files by which memory hot-plugging is steered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memplan.hotadd.settings import parse_bool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.rules import HotplugRules
    from memplan.hotadd.settings import DefaultState, Policy, Settings

_ECHO = re.compile(r"""\becho\s+(?:-n\s+)?["']?([\w-]+)["']?\s*>\s*(\S+)""")
_PARAMETER = re.compile(r"/sys/module/memory_hotplug/parameters/(\w+)")
_AUTO_ONLINE = "/sys/devices/system/memory/auto_online_blocks"
_STATE = re.compile(r"/sys/devices/system/memory/memory([0-9]{1,9})/state")
_NUMBER = re.compile(r"[0-9]{1,9}")
_HUGE_PAGES = ("/proc/sys/vm/nr_hugepages", "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
_STATES: dict[str, DefaultState] = {
    "offline": "offline",
    "online": "online",
    "online_kernel": "online_kernel",
    "online_movable": "online_movable",
}
_POLICIES: dict[str, Policy] = {"contig-zones": "contig-zones", "auto-movable": "auto-movable"}


def changed_settings(settings: Settings, rules: HotplugRules, text: str) -> tuple[Settings, tuple[str, ...]]:
    """`settings` after the command `text`, and what it changed, in words."""
    notes: list[str] = []
    for word, path in _written(text):
        parameter = _PARAMETER.fullmatch(path)
        if path == _AUTO_ONLINE and word in _words(rules):
            settings = with_default_state(settings, rules, word)
            notes.append(f"memory that is added from now on is {word}")
        elif parameter is not None and rules.auto_movable:
            changed = _changed(settings, parameter[1], word)
            if changed != settings:
                notes.append(f"{parameter[1]} is {word} from now on")
                settings = changed
    return settings, tuple(notes)


def with_default_state(settings: Settings, rules: HotplugRules, word: str) -> Settings:
    """`settings` with what auto_online_blocks says; as they are where the version does not know the word."""
    return settings._replace(default_state=_STATES[word]) if word in _words(rules) else settings


def written_states(text: str) -> Iterator[tuple[int, DefaultState]]:
    """The blocks whose state the command writes, and the words."""
    for word, path in _written(text):
        found = _STATE.fullmatch(path)
        if found is not None and word in _STATES:
            yield int(found[1]), _STATES[word]


def huge_pages(text: str) -> int | None:
    """The number of huge pages of 2M that the command asks for; None where it asks for none."""
    found = [int(word) for word, path in _written(text) if path in _HUGE_PAGES and _NUMBER.fullmatch(word)]
    return found[-1] if found else None


def _written(text: str) -> Iterator[tuple[str, str]]:
    """The words that are echoed into files, and the files' paths."""
    for found in _ECHO.finditer(text):
        yield found[1], found[2].rstrip(";&")


def _words(rules: HotplugRules) -> tuple[str, ...]:
    return {"none": (), "two": ("offline", "online"), "four": tuple(_STATES)}[rules.online_types]


def _changed(settings: Settings, name: str, word: str) -> Settings:
    if name == "online_policy" and word in _POLICIES:
        return settings._replace(policy=_POLICIES[word])
    if name == "auto_movable_ratio" and _NUMBER.fullmatch(word):
        return settings._replace(ratio=int(word))
    if name == "auto_movable_numa_aware" and (value := parse_bool(word)) is not None:
        return settings._replace(numa_aware=value)
    return settings
