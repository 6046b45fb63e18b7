"""The real boots under tests/boots, and the ways in which logs reach people."""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

BOOTS = Path(__file__).parent.parent / "boots"
NAMES = sorted(path.name.removesuffix(".log.xz") for path in BOOTS.glob("*.log.xz"))
_STAMP = re.compile(r"^\[ *(\d+)\.(\d+)\] ?")
#: Lines that tell what an allocator decided.
_DECIDED = re.compile(
    r"memblock|MEMBLOCK|memory\.cnt|reserved\.cnt|memory size =|\s(?:memory|reserved)\[0x|NODE_DATA|Zone ranges"
    r"|Movable zone|Early memory node|node\s+\d+: \[mem|Reserving \d+MB|(?<!setup_)percpu:|Memory: |cma: Reserved"
    r"|Allocated new RAMDISK|BRK \[|init_memory_mapping|software IO TLB",
    re.IGNORECASE,
)


@cache
def text(name: str) -> str:
    """The log of that name."""
    return lzma.decompress((BOOTS / f"{name}.log.xz").read_bytes()).decode()


@cache
def case(name: str) -> dict[str, Any]:
    """What QEMU was told for that log."""
    data: dict[str, Any] = yaml.safe_load((BOOTS / f"{name}.case.yaml").read_text())
    return data


def ordinary(log: str) -> str:
    """The log as a boot without memblock=debug prints it."""
    kept = [line for line in log.splitlines() if "ommand line:" in line or not _DECIDED.search(line)]
    return "\n".join(kept) + "\n"


def _each(change: Callable[[str, str, str], str]) -> Callable[[str], str]:
    def apply(log: str) -> str:
        out = []
        for line in log.splitlines():
            found = _STAMP.match(line)
            seconds, rest = (found[1], line[found.end() :]) if found else ("0", line)
            out.append(change(line, seconds, rest))
        return "\n".join(out) + "\n"

    return apply


#: How the same log looks by other ways: name -> what it does to the serial console's text.
WAYS: dict[str, Callable[[str], str]] = {
    "dmesg -t": _each(lambda line, seconds, rest: rest),
    "dmesg -T": _each(lambda line, seconds, rest: f"[Mon Nov 23 00:56:{int(seconds) % 60:02} 2026] {rest}"),
    "dmesg -x": _each(lambda line, seconds, rest: f"kern  :info  : [{int(seconds):5}.000000] {rest}"),
    "dmesg -r": _each(lambda line, seconds, rest: f"<6>[{int(seconds):5}.000000] {rest}"),
    "/dev/kmsg": _each(lambda line, seconds, rest: f"6,{seconds},{seconds}000000,-;{rest}"),
    "journalctl -k": _each(lambda line, seconds, rest: f"Nov 23 00:56:11 node-17.example.org kernel: {rest}"),
    "journalctl -o short-iso": _each(lambda line, seconds, rest: f"2026-11-23T00:56:11+0000 node17 kernel: {rest}"),
    "journalctl -o short-monotonic": _each(lambda line, s, rest: f"[{int(s):5}.123456] node17 kernel: {rest}"),
    "syslog": _each(lambda line, seconds, rest: f"Nov 23 00:56:11 node17 kernel: [{int(seconds):5}.000000] {rest}"),
    "printk caller": _each(lambda line, seconds, rest: f"[{int(seconds):5}.000000] [    T0] {rest}"),
    "CRLF": lambda log: log.replace("\n", "\r\n"),
    "terminal": _each(lambda line, seconds, rest: f"\x1b[0m\x1b[32m[{int(seconds):5}.000000]\x1b[0m {rest}\x1b[K"),
    "two boots": lambda log: log + log,
    "text before": lambda log: "SeaBIOS (version 1.16.2)\n\nBooting from ROM..\nLoading initial ramdisk ...\n" + log,
}
