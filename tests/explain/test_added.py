"""Answers about memory that was added after boot: DIMMs, addresses in them, and their nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from memplan.cli import main
from memplan.render.explain_json import explain_schema

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml")
ONLINE = ("--append", "memhp_default_state=online")
Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["explain", *words])
        out, err = capsys.readouterr()
        return int(left.value.code or 0), " ".join(out.split()), err

    return call


def test_a_dimm(explain: Explain) -> None:
    _, out, _ = explain(EXAMPLE, "d0", "--add", "1G@node1", "--offline", "d0:2", *ONLINE)
    assert "d0 (1G) is memory of node 1: 7 blocks in Movable, 1 block off-line" in out
    assert "why this node: domain 1 of its device (_PXM) is node 1" in out
    assert "its memory map: 16M out of kernel zones of another node: node 1 has none" in out
    assert "can it go again: yes" in out
    assert "blocks 136 to 137: on-line in Movable" in out
    assert "block 138: off-line; put on-line now it would go to Movable; Normal if asked for" in out


def test_an_address_in_a_dimm(explain: Explain) -> None:
    words = (EXAMPLE, "0x450000000", "--add", "1G@node1", *ONLINE)
    _, out, _ = explain(*words, "--online", "kernel:d0:2")
    assert "its memory block 138 is on-line in Movable" in out
    _, out, _ = explain(*words, "--offline", "d0:2", "--online", "kernel:d0:2")
    assert "d0 has it, of node 1, since step 0 (add 1G@node1)" in out
    assert "its memory block 138 is on-line in Normal" in out
    assert "why: Normal, as online_kernel asks for a kernel zone" in out
    assert "with movable_node" not in out, "the reason that counts is the last one"
    assert "can it go again: no promise: block 138: in a kernel zone" in out


def test_a_dimm_that_was_refused(explain: Explain) -> None:
    _, out, _ = explain(EXAMPLE, "d0", "--add", "500M")
    assert "d0 (500M) brings no memory: it was refused" in out
    assert "the kernel says: Block size [0x8000000] unaligned hotplug range" in out


def test_a_dimm_that_is_gone(explain: Explain) -> None:
    _, out, _ = explain(EXAMPLE, "d0", "--add", "1G@node1", "--remove", "d0", *ONLINE)
    assert "d0 (1G) is gone again" in out
    _, out, _ = explain(EXAMPLE, "0x440000000", "--add", "1G@node1", "--remove", "d0", *ONLINE)
    assert out.startswith("0x440000000 lies in d0: d0 (1G) is gone again")


def test_memory_of_the_boot_is_explained_as_ever(explain: Explain) -> None:
    alone = explain(EXAMPLE, "0x1000")
    assert explain(EXAMPLE, "0x1000", "--add", "1G@node1") == alone
    assert explain(EXAMPLE, "e820__memblock_setup", "--add", "1G@node1")[0] == 0
    _, out, _ = explain(EXAMPLE, "0x140000000", "--add", "1G@node1", "--offline", "40")
    assert "after the steps its memory block 40 is off-line" in out


def test_a_node(explain: Explain) -> None:
    _, out, _ = explain(EXAMPLE, "node1", "--add", "1G@node1", "--add", "2G@node1", *ONLINE)
    assert "the steps add 3G in d0, d1" in out
    assert "d1 (2G) is memory of node 1: 16 blocks in Movable" in out
    _, out, _ = explain(EXAMPLE, "node2", "--add", "1G@node1", *ONLINE)
    assert "the steps add nothing to it" in out


@pytest.mark.parametrize("subject", ["d0", "d1", "0x450000000", "node1"])
def test_the_schema_holds(subject: str, explain: Explain) -> None:
    _, out, _ = explain(EXAMPLE, subject, "--add", "1G@node1", "--add", "100M", *ONLINE, "-f", "json")
    jsonschema.validate(json.loads(out), explain_schema())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((EXAMPLE, "d3", "--add", "1G"), "d3 is not there: the steps add d0"),
        ((EXAMPLE, "d0"), "d0 is a DIMM that is added after boot: add it with --add 1G@node1"),
        ((EXAMPLE, "node9", "--add", "1G"), "node 9 has no memory, neither at boot nor by these steps"),
        (("MP201", "--add", "1G"), "steps after boot need a machine"),
        ((EXAMPLE, "d0", "--add", "1X"), "--add: should be a size or an address"),
        ((EXAMPLE, "d0", "--scenario", "/nowhere"), "/nowhere: can't be read"),
    ],
)
def test_bad_usage(words: tuple[str, ...], message: str, explain: Explain) -> None:
    status, out, err = explain(*words)
    assert (status, out) == (2, "")
    assert message in err
