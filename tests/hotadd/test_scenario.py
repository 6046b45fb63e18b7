"""Scenarios: what files and options may say, and where a message points when they say something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.errors import InputError, UsageError
from memplan.hotadd.scenario import (
    Add,
    Offline,
    Online,
    Remove,
    Shell,
    Show,
    Target,
    load_scenario,
    parse_add,
    parse_online,
    parse_scenario,
    parse_target,
)
from memplan.hotadd.settings import settings_of
from memplan.hotadd.shell import changed_settings, huge_pages, written_states
from memplan.kernel.resolve import load_rules
from tests.hotadd.recorded import kernel_of

GIB = 1 << 30


def test_steps_of_a_file() -> None:
    scenario = parse_scenario(
        """
steps:
- {show: ''}
- add: {size: 1G, node: 1, addr: 0x140000000}
- add: {size: 512M}
- {online_movable: 'd0:0-3'}
- {online: 8}
- offline: [d0, 'd1:-1']
- offline: {blocks: d0, stuck: 'd0:3'}
- {remove: d1}
- remove: {dimm: d0, stuck: [40, 41]}
- {sh: echo N > /x}
maxmem: 16G
memory: 4G
""",
        "steps.yaml",
    )
    assert scenario.steps == (
        Show(),
        Add(GIB, 1, 0x140000000),
        Add(512 << 20),
        Online("online_movable", (Target(0, 0, 3),)),
        Online("online", (Target(None, 8, 8),)),
        Offline((Target(0, 0, None), Target(1, -1, -1))),
        Offline((Target(0, 0, None),), (Target(0, 3, 3),)),
        Remove(1),
        Remove(0, (Target(None, 40, 40), Target(None, 41, 41))),
        Shell("echo N > /x"),
    )
    assert (scenario.maxmem, scenario.memory, scenario.slots) == (16 * GIB, 4 * GIB, None)


def test_a_bare_list_is_a_scenario() -> None:
    assert parse_scenario("- show\n- add: 1G\n", "x").steps == (Show(), Add(GIB))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3\n", "s.yaml:1:8: steps: should be a list of steps"),
        ("add: 1G\n", "s.yaml:1:1: should be a list of steps, or a mapping with steps"),
        ("- ad: 1G\n", "s.yaml:1:3: [0].ad: is no step; steps are add, online"),
        ("- add: {node: 1}\n", "s.yaml:1:8: [0].add: should be a mapping with size"),
        ("- add: {size: 1G, nod: 1}\n", "s.yaml:1:19: [0].add.nod: is no field of a DIMM"),
        ("- add: {size: 1Q}\n", "s.yaml:1:15: [0].add.size: should be a size or an address such as 1G"),
        ("- add: {size: 100}\n", "s.yaml:1:15: [0].add.size: should be whole pages"),
        ("- show\n- online: d0:3-1\n", "s.yaml:2:11: [1].online: 'd0:3-1' names no blocks"),
        ("- add: 1G\n- remove: d0:1\n", "s.yaml:2:11: [1].remove: should be a DIMM such as d0, found d0:1"),
        ("- remove: d0\n", "s.yaml:1:11: [0].remove: d0 is not there: no DIMM was added before"),
        ("- add: 1G\n- online: [d0, d99]\n", "s.yaml:2:16: [1].online[1]: d99 is not there: only d0 to d0 were added"),
        ("- add: 1G\n- online: [[d0]]\n", "s.yaml:2:12: [1].online[0]: should be blocks like d0, d0:2-5 or 8"),
        ("- add: 1G\n" * 1025, "s.yaml:1025:8: [1024].add: is one DIMM more than 1024, for which no machine has slots"),
        ("- add: {size: -1G}\n", "s.yaml:1:15: [0].add.size: should be a size or an address such as 1G"),
        ("- add: {size: 9999999999T}\n", "s.yaml:1:15: [0].add.size: should be whole pages from 4096 to"),
        ("- remove: {stuck: 8}\n", "s.yaml:1:11: [0].remove: should be a mapping with dimm"),
        ("- add: {size: 1G}\n  show: ''\n", "s.yaml:1:3: [0]: should be a mapping with one of add"),
        ("steps: []\nmaxmen: 4G\n", "s.yaml:2:1: maxmen: is no key of a scenario"),
        ("- sh: [a]\n", "s.yaml:1:7: [0].sh: should be the text of a command"),
        ("- add: {size: 1G, node: -1}\n", "s.yaml:1:25: [0].add.node: should be a number, found -1"),
    ],
)
def test_what_is_wrong_has_a_place(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "s.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        load_scenario(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(b"- \xff")
    with pytest.raises(InputError, match="is not text: byte 2"):
        load_scenario(str(broken))


def test_words_of_the_command_line() -> None:
    assert parse_add("1G@node1") == Add(GIB, 1)
    assert parse_add("4G@0,addr=0x240000000") == Add(4 * GIB, 0, 0x240000000)
    assert parse_online("movable:d0:0-3") == Online("online_movable", (Target(0, 0, 3),))
    assert parse_online("kernel:8") == Online("online_kernel", (Target(None, 8, 8),))
    assert parse_online("d0,d1:-1") == Online("online", (Target(0, 0, None), Target(1, -1, -1)))
    assert str(parse_target("d0:2-5")) == "d0:2-5"
    for bad in ("1G@nodeX", "G", "1G,at=3", "-1G"):
        with pytest.raises(UsageError):
            parse_add(bad)
    for bad in ("d", "d0:-2-3", "dx", "d0:"):
        with pytest.raises(UsageError, match="names no blocks"):
            parse_target(bad)


@pytest.mark.parametrize("word", ["٣", "9" * 5000, "-1", "1e3"])
def test_numbers_that_the_kernel_would_not_read_change_nothing(word: str) -> None:
    rules, files = load_rules("6.12").hotplug, "/sys/module/memory_hotplug/parameters/auto_movable_ratio"
    settings = settings_of(kernel_of("6.12"), f"memory_hotplug.auto_movable_ratio={word}")
    assert settings.ratio == settings_of(kernel_of("6.12"), "").ratio
    assert changed_settings(settings, rules, f"echo {word} > {files}") == (settings, ())
    assert huge_pages(f"echo {word} > /proc/sys/vm/nr_hugepages") is None
    assert list(written_states(f"echo online > /sys/devices/system/memory/memory{word}/state")) == []
