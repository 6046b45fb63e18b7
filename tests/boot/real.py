"""The plans of real boots' machines, each imported from the boot's own log, once for all tests."""

import lzma
import re
import tempfile
from functools import cache
from pathlib import Path

import memplan
from memplan.events import Message
from memplan.firmware.combine import import_files
from memplan.plan import Plan

BOOTS = Path(__file__).parent.parent / "boots"
NAMES = sorted(path.name.removesuffix(".log.xz") for path in BOOTS.glob("*.log.xz"))
_STAMP = re.compile(r"^\[[^]]*\] ?")


@cache
def lines(name: str) -> tuple[str, ...]:
    """What the kernel printed, without time stamps."""
    text = lzma.decompress((BOOTS / f"{name}.log.xz").read_bytes()).decode()
    return tuple(_STAMP.sub("", line).rstrip() for line in text.splitlines())


@cache
def plan(name: str) -> Plan:
    """The plan of the machine that the log `name` tells of."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "boot.log")
        log.write_text("\n".join(lines(name)) + "\n")
        return memplan.simulate(import_files([log])[0])


def printed(plan: Plan, wanted: re.Pattern[str]) -> list[str]:
    """The plan's messages that begin as `wanted` says."""
    return [event.text.rstrip() for event in plan.events if isinstance(event, Message) and wanted.match(event.text)]
