"""``memplan hotadd`` as a command: logs and descriptions, files and options, text and JSON."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memplan.cli import main
from memplan.render.hotadd_how_much import how_much_schema
from memplan.render.hotadd_json import hotadd_schema
from tests.hotadd import recorded
from tests.hotadd.recorded import NAMES, RUNS
from tests.hotadd.test_runs import UNPREDICTABLE

EXAMPLE = Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml"
Run = Callable[..., tuple[int, str, str]]

#: Steps from which on chance has it another way than the guess; what comes after them rests on that.
OTHERWISE = {
    "middle-4.19": 15,
    "fallback-6.18": 11,
    # A page of a file that can't be moved keeps an eject waiting.
    "eject-rollback-6.1": 6,
    "eject-rollback-6.12": 6,
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["hotadd", *words])
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


def boot_log(name: str, folder: Path) -> str:
    """The log of the run's boot alone, without what came after it."""
    text = lzma.decompress((RUNS / f"{name}.log.xz").read_bytes()).decode("utf-8", "replace")
    path = folder / "boot.log"
    path.write_text(text.partition("LAB-BEGIN")[0])
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_and_a_case_are_enough(name: str, run: Run, tmp_path: Path) -> None:
    """The boot from its log, the steps from the case: every look of the run is foretold."""
    taken = recorded.load(name)
    status, out, err = run(boot_log(name, tmp_path), "--scenario", str(RUNS / f"{name}.case.yaml"), "-f", "json")
    assert status == 0, err
    result = json.loads(out)
    jsonschema.validate(result, hotadd_schema())
    assert set(result) == {"format", "version", "block_size", "steps", "warnings"}
    assert (result["format"], result["version"]) == ("memplan hotadd", 1)
    assert result["block_size"] == taken.block_size
    for step, record in zip(result["steps"], taken.steps, strict=False):
        if record.number >= OTHERWISE.get(name, len(taken.steps)):
            break
        if record.look is None:
            continue
        unknown = UNPREDICTABLE.get((name, record.number), set())
        assert blocks(step, unknown) == {
            number: (f"node{nid}", state, list(zones))
            for number, nid, state, zones in record.look.blocks
            if number not in unknown
        }, f"step {record.number}"
        if step["memtotal"] is not None:
            assert step["memtotal"] == record.look.total, f"step {record.number}"


def test_a_description_may_come_through_a_pipe(run: Run) -> None:
    end, other = os.pipe()
    os.write(other, b"e820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 1G}\n")
    os.close(other)
    status, out, err = run(f"/dev/fd/{end}", "--add", "1G")
    os.close(end)
    assert (status, err) == (0, "")
    assert out.startswith("1G of added memory is there in the end")


def blocks(step: dict[str, Any], unknown: set[int]) -> dict[int, tuple[str, str, list[str]]]:
    return {
        number: (part["node"], part["state"], part["zones"])
        for part in step["blocks"]
        for number in range(part["first"], part["last"] + 1)
        if number not in unknown
    }


def test_order_of_options_is_the_order_of_steps(run: Run) -> None:
    words = "--add 1G@node1 --online movable:d0:0-3 --add 2G --online kernel:d1:0 --remove d1 -f json --sh true"
    _, out, _ = run(str(EXAMPLE), *words.split(), "--append", "memhp_default_state=offline")
    reasons = [step["reason"] for step in json.loads(out)["steps"]]
    assert len(reasons) == 6
    assert "8 blocks of node 1" in reasons[0]
    assert "4 on-line: 4 Movable" in reasons[1]
    assert "16 blocks of node 0" in reasons[2]
    assert "1 on-line: 1 Normal" in reasons[3]


def test_text_says_what_people_ask(run: Run) -> None:
    status, out, _ = run(str(EXAMPLE), "--add", "1G@node1", "--add", "100M", "--append", "memhp_default_state=online")
    assert status == 0
    assert "node        1: domain 1 of its device (_PXM) is node 1" in out
    assert "zone        blocks 136-143: Movable, as it lies in no zone of node 1, and with movable_node" in out
    assert "memory map  16M out of kernel zones of another node: node 1 has none" in out
    assert "goes again  yes: what is on-line of it is movable: it goes if what lies in it has room elsewhere" in out
    assert "Block size [0x8000000] unaligned hotplug range" in out
    assert out.startswith("1G of added memory is there in the end: d0; 100M is refused: d1\n")


def test_a_refusal_counts_where_it_is_asked_for(run: Run) -> None:
    assert run(str(EXAMPLE), "--add", "100M")[0] == 0
    assert run(str(EXAMPLE), "--add", "100M", "--exit-code")[0] == 1
    assert run(str(EXAMPLE), "--add", "128M", "--exit-code")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to do: give steps"),
        (("--add", "1X"), "--add: should be a size or an address such as 1G or 0x140000000, found '1X'"),
        (("--remove", "d0"), "step 0 (remove d0): d0 is not there: no DIMM was added before"),
        (("--add", "1G", "--online", "d2"), "step 1 (online d2): d2 is not there: only d0 to d0 were added before"),
        (("--add", "1G", "--remove", "8"), "--remove: '8' is no DIMM"),
        (("--how-much", "--add", "1G"), "--how-much asks what can be added after boot: it goes with no steps"),
        (("--how-much", "--dimm", "x"), "--dimm: should be a size"),
        (("--how-much", "--state", "/nowhere"), "--state goes with steps, not with --how-much"),
        (("--how-much", "--exit-code"), "--exit-code goes with steps, not with --how-much"),
        (("--add", "1G", "--dimm", "2G"), "--dimm goes with --how-much, not with steps"),
        (("--add", "1G", "--node", "1"), "--node goes with --how-much, not with steps"),
        (("--add", "1G", "--maxmem", "x"), "--maxmem: should be a size"),
        (("--add", "1G", "--kernel", "banana"), "there is no kernel 'banana'"),
        (("--scenario", "/nowhere.yaml"), "/nowhere.yaml: can't be read"),
        (("--add", "1G", "--state", "/nowhere"), "/nowhere: can't be read"),
    ],
)
def test_bad_usage_is_one_clear_message(words: tuple[str, ...], message: str, run: Run) -> None:
    status, out, err = run(str(EXAMPLE), *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for what, schema in (("hotadd", hotadd_schema()), ("how-much", how_much_schema())):
        with pytest.raises(SystemExit):
            main(["schema", what])
        assert json.loads(capsys.readouterr().out) == schema


def test_how_much(run: Run) -> None:
    movable = ("--append", "memhp_default_state=online_movable")
    status, out, _ = run(str(EXAMPLE), "--how-much", "--dimm", "1G", "-f", "json", *movable)
    result = json.loads(out)
    jsonschema.validate(result, how_much_schema())
    assert (status, result["bytes"]) == (0, result["dimms"] << 30)
    by_name = {bound["name"]: bound for bound in result["bounds"]}
    assert by_name["memory map"]["hard"]
    assert result["dimms"] == by_name["memory map"]["dimms"]
    status, out, _ = run(str(EXAMPLE), "--how-much", "--dimm", "64M")
    assert status == 1
    assert "No DIMM of 64M can be added: its size 64M is no multiple of a memory block (128M)" in out
    refused = json.loads(run(str(EXAMPLE), "--how-much", "--dimm", "64M", "-f", "json")[1])
    jsonschema.validate(refused, how_much_schema())
    assert (refused["dimms"], refused["bounds"]) == (0, [])
    assert refused["refused"].startswith("its size 64M")


@pytest.mark.parametrize(
    ("name", "took"),
    [("memmap-exhaust-5.4", 4), ("memmap-exhaust-6.1", 3), ("memmap-exhaust-6.12", 3), ("memmap-exhaust-7.1", 4)],
)
def test_how_much_is_never_less_than_what_a_machine_took(name: str, took: int, run: Run, tmp_path: Path) -> None:
    _, out, _ = run(boot_log(name, tmp_path), "--how-much", "--dimm", "4G", "-f", "json")
    assert took <= json.loads(out)["dimms"] <= took + 2


def test_the_readmes_story(run: Run) -> None:
    """The guest that died of its fourth DIMM, and took all five with their maps on board."""
    folder = EXAMPLE.parent / "hotadd"
    words = (str(folder / "small-guest.yaml"), "--scenario", str(folder / "five-dimms.yaml"))
    _, before, _ = run(*words)
    assert before.startswith(
        "12G of added memory is there in the end: d0-d2; 4G is at risk, as its memory map may not fit: d3; "
        "4G is refused: d4\n"
        "Can go again, as nothing of it is the kernel's: d0-d3\n"
    )
    assert "at risk, as its memory map takes 64M and less than 79M can be free" in before
    assert "refused: its memory map takes 64M, and less than 15M of kernel memory can be free (-ENOMEM)" in before
    _, after, _ = run(*words, "--append", "memory_hotplug.memmap_on_memory=1")
    assert after.startswith(
        "20G of added memory is there in the end: d0-d4\nCan go again, as nothing of it is the kernel's: d0-d4\n"
    )
    _, older, _ = run(*words, "--append", "memory_hotplug.memmap_on_memory=1", "--kernel", "debian-6.1.0-55-amd64")
    assert "memmap_on_memory is of no use here" in older
