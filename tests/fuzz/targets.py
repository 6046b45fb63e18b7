"""What is fuzzed: one target a reader, and one for the whole way from a description to every output.

A target is a function of bytes.  The contract: it returns, or it raises a MemplanError with a message of one line a
problem; anything else is a finding.  `SEEDS` are good inputs to begin from.
"""

from __future__ import annotations

import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import memplan
from memplan.checks.config import find_settings, forget
from memplan.errors import MemplanError
from memplan.firmware.combine import combine
from memplan.firmware.source import read_source
from memplan.kernel.build_file import read_build_file
from memplan.machine.assignment import Assignment
from memplan.machine.dump import dump_machine
from memplan.machine.load import changed, parse_machine
from memplan.machine.model import MAX_CMDLINE
from memplan.machine.options import bad_options, with_cmdline
from memplan.plan import Plan
from memplan.render.plan_json import plan_lines
from memplan.render.report import plan_report
from memplan.render.terminal import report_lines
from memplan.render.trace import trace_lines

ROOT = Path(__file__).parents[2]
MACHINE = (ROOT / "examples" / "hotplug-nodes.yaml").read_bytes()
#: Small enough to be planned many times a second.
SMALL = """\
e820:
- {start: 0, size: 640K}
- {start: 1M, size: 3071M}
- {start: 4G, size: 4G}
srat:
  memory:
  - {pxm: 0, base: 0, length: 4G}
  - {pxm: 1, base: 4G, length: 4G, hotplug: true}
cpus: {possible: 4}
"""


def description(data: bytes) -> None:
    """A machine's description, and what is written of it again."""
    machine = parse_machine(data, "fuzz.yaml")
    assert parse_machine(dump_machine(machine), "dump.yaml") == machine
    assert dict(machine.places) is not None


def change(data: bytes) -> None:
    """A change of a description: ``--set``."""
    text = data.decode(errors="replace")
    machine = parse_machine(SMALL, "small.yaml", [Assignment.parse(text)])
    assert changed(machine, []) == machine


def options(data: bytes) -> None:
    """Boot options, whatever they say, as a kernel that has booted with them takes them."""
    text = data.decode(errors="replace")[:MAX_CMDLINE]
    bad_options(text)
    machine = parse_machine(f"booted: true\n{SMALL}", "small.yaml")
    _shown(memplan.simulate(machine._replace(cmdline=text)))
    with_cmdline(machine, None, (text,))


def pipeline(data: bytes) -> None:
    """A description with its plan, in every format."""
    _shown(memplan.simulate(parse_machine(data, "fuzz.yaml")))


def source(data: bytes) -> None:
    """Anything that import reads: a log, tables, listings, maps."""
    with tempfile.NamedTemporaryFile(prefix="memplan-fuzz-") as file:
        file.write(data)
        file.flush()
        machine, comments = combine([read_source(Path(file.name))])
    dump_machine(machine, comments)


def build(data: bytes) -> None:
    """A kernel's file."""
    with tempfile.NamedTemporaryFile(prefix="memplan-fuzz-", suffix=".yaml") as file:
        file.write(data)
        file.flush()
        read_build_file(file.name)


def configuration(data: bytes) -> None:
    """The configuration of checks."""
    with tempfile.NamedTemporaryFile(prefix="memplan-fuzz-", suffix=".yaml") as file:
        file.write(data)
        file.flush()
        try:
            find_settings(Path("m.yaml"), file.name, None)
        finally:
            forget()


def _shown(plan: Plan) -> None:
    for lines in (plan_lines(plan), trace_lines(plan), report_lines(plan_report(plan), terminal=False)):
        for _ in lines:
            pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    own.__name__: own for own in (description, change, options, pipeline, source, build, configuration)
}


def run(target: Callable[[bytes], None], data: bytes) -> None:
    """Run `target` on `data`, and hold its errors to the contract."""
    try:
        target(data)
    except MemplanError as error:
        text = str(error)
        assert text
        assert "Traceback" not in text
        assert all(line.isprintable() or "\t" in line for line in text.split("\n")), text


def _logs() -> list[bytes]:
    names = ("hot1-la57-6.12.log.xz", "plain-4g-3.13.log.xz", "slit-hot-6.12.log.xz")
    return [lzma.decompress((ROOT / "tests" / "boots" / name).read_bytes())[:40_000] for name in names]


_KERNEL = b'version: "6.12"\nbased_on: debian-6.1.0-55-amd64\nfacts:\n- {source: gdb, struct: {page: 64}}\n'
_CONFIG = b"profile: strict\nseverities: {MP1xx: info}\noff: {MP201: known}\nexpect: [movable:node1, crashkernel]\n"
_OPTIONS = (
    b"movable_node crashkernel=1G-4G:128M,4G-:256M@64M hugepagesz=1G hugepages=0:1,1:1 numa=fake=4 mem=6G",
    b"memmap=64M$1G,4K#2G memmap=1G!5G kernelcore=30% movablecore=1G cma=64M@1G-4G hugetlb_cma=0:1G log_buf_len=4M",
    b'swiotlb=65536,4,force nr_cpus=2 possible_cpus=8 reserve_mem=4M:4K:x dyndbg="a b" percpu_alloc=page -- init',
)
_CHANGES = (b"initrd.start=2G", b"srat.memory[1].hotplug=true", b"e820[2]={start: 4G, end: 6G}", b"kernel=6.1")
SEEDS: dict[str, tuple[bytes, ...]] = {
    "description": (MACHINE, SMALL.encode(), *(p.read_bytes() for p in sorted((ROOT / "examples").glob("*.yaml")))),
    "change": _CHANGES,
    "options": _OPTIONS,
    "pipeline": (SMALL.encode(), f"cmdline: {_OPTIONS[0].decode()}\n{SMALL}".encode()),
    "source": (*_logs(), *(p.read_bytes() for p in sorted((ROOT / "tests/checks/fixtures").glob("*/bad.aml"))[:6])),
    "build": (_KERNEL,),
    "configuration": (_CONFIG,),
}
