"""What earlier versions wrote is still read, and what is written now still has the form that was promised then.

The files here are kept as they were: a description, a kernel's file and a page of earlier versions, and the JSON
Schemas of the output's version 1.  A format whose version is raised gets its new schema beside the old one.
"""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import memplan
from memplan.cli import main

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NODES, BLOCKED = str(EXAMPLES / "hotplug-nodes.yaml"), str(EXAMPLES / "blocked-by-acpi.yaml")
GIB = 1 << 30


@cache
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lzma.decompress((HERE / "schemas.json.xz").read_bytes()))
    return found


def test_an_earlier_description_means_what_it_meant() -> None:
    machine = memplan.load_machine(HERE / "machine.yaml")
    assert (machine.name, machine.kernel.build, machine.kernel.load_address) == ("annotated", "6.12", 0x1000000)
    assert machine.kernel.overrides == {"config.CMA_SIZE_MBYTES": 0}
    assert machine.cmdline == "movable_node crashkernel=256M hugepages=2 hugepagesz=2M"
    assert [(entry.start, entry.end) for entry in machine.e820[:3]] == [
        (0, 0x9FC00),
        (0x9FC00, 0xA0000),
        (0xF0000, 0x100000),
    ]
    plan = memplan.simulate(machine)
    assert {nid: end - start for nid, start, end in plan.movable} == {1: 4 * GIB, 2: 4 * GIB}


def test_an_earlier_kernel_s_file_is_read() -> None:
    plan = memplan.simulate(memplan.load_machine(HERE / "machine.yaml"), kernel=str(HERE / "kernel.yaml"))
    assert (plan.kernel, plan.kernel_version) == ("kernel", "6.1")


def test_an_earlier_page_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(lzma.decompress((HERE / "page.html.xz").read_bytes()))
    machine = memplan.load_machine(tmp_path / "page.html")
    assert machine.e820 == memplan.load_machine(NODES).e820
    assert machine.srat == memplan.load_machine(NODES).srat


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("plan", ("simulate", NODES)),
        ("plan", ("simulate", str(HERE / "machine.yaml"))),
        ("diff", ("diff", NODES, "--append", "nr_cpus=1")),
        ("diff", ("diff", NODES, BLOCKED)),
        ("check", ("check", NODES, BLOCKED)),
        ("explain", ("explain", NODES, "0x100000")),
        ("explain", ("explain", NODES, "node 1")),
        ("sweep", ("sweep", NODES, "--kaslr")),
        ("sweep", ("sweep", NODES, "--vary", "nr_cpus=1,2")),
        ("sweep", ("sweep", NODES, "--vary", "crashkernel=128M..8G")),
        ("history", ("history", NODES, "--from", "6.10")),
        ("advice", ("advise", BLOCKED, "--want", "removable:all")),
        ("advice", ("advise", BLOCKED, "--want", "crashkernel>=64G")),
        ("hotadd", ("hotadd", NODES, "--add", "1G@node1", "--online", "movable:d0")),
    ],
    ids=lambda own: own if isinstance(own, str) else own[-1].rpartition("/")[2],
)
def test_output_keeps_the_form_that_was_promised(
    what: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*words, "-f", "json"])
    assert left.value.code in (0, 1)
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schemas()[what])
    promised = schemas()[what].get("required", ())
    assert all(name in document for name in promised)


def test_the_schemas_that_are_kept_refuse_other_documents() -> None:
    for what, schema in schemas().items():
        if what == "sweep":
            continue
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema)
