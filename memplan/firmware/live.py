"""This computer as a source: its kernel's log, /sys/firmware, /proc, as far as the caller's rights go."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from memplan.errors import InputError
from memplan.firmware.source import SourceFacts, open_source, read_file, read_source
from memplan.machine.options import bad_options

#: Commands and files that hold the log of this boot; the first that tells of the memory map is taken.
_LOG_COMMANDS = (("journalctl", "-k", "-b", "-o", "short-monotonic", "--no-pager"), ("dmesg",))
_LOG_FILES = ("/var/log/dmesg", "/var/log/boot.msg")
#: What firmware and the kernel show as files, in the order in which they fill in and override.
_PLACES = (
    "/sys/devices/system/memory",
    "/sys/kernel/boot_params",
    "/sys/firmware/memmap",
    "/proc/iomem",
    "/sys/firmware/acpi/tables",
)
_COMMAND_SECONDS = 30
#: CPU flags of /proc/cpuinfo and the machine's fields.
_FLAGS = {"pse": "pse", "pdpe1gb": "gbpages", "la57": "la57", "hypervisor": "hypervisor"}


def read_live() -> list[SourceFacts]:
    """The facts of this computer, source by source; notes say what could not be read, and why."""
    sources = [_log()]
    for place in _PLACES:
        try:
            sources.append(read_source(Path(place)))
        except InputError as error:
            missing = SourceFacts(place, "live")
            missing.note("; ".join(problem.message for problem in error.problems) + " (root may see more)")
            sources.append(missing)
    kernel_known = "kernel.build" in sources[0].facts
    sources.append(_proc(Path("/proc"), Path("/sys/devices/system/cpu/possible"), kernel_known=kernel_known))
    return sources


def _log() -> SourceFacts:
    reasons = []
    for command in _LOG_COMMANDS:
        with tempfile.NamedTemporaryFile(prefix="memplan-", suffix=".log") as file:
            try:
                done = subprocess.run(
                    command, stdout=file, stderr=subprocess.DEVNULL, timeout=_COMMAND_SECONDS, check=False
                )
                if done.returncode:
                    reasons.append(f"{command[0]} is not permitted")
                    continue
                found = read_file(replace(open_source(Path(file.name)), name=command[0]))
            except (OSError, subprocess.TimeoutExpired):
                reasons.append(f"{command[0]} can't be run")
                continue
            except InputError:
                reasons.append(f"{command[0]} no longer has the boot's first lines")
                continue
            if "e820" in found.facts:
                return found
            reasons.append(f"{command[0]} no longer has the boot's first lines")
    for name in _LOG_FILES:
        try:
            found = read_source(Path(name))
        except InputError:
            continue
        if "e820" in found.facts:
            return found
    missing = SourceFacts("kernel log", "live")
    missing.note("; ".join(reasons) + ": no kernel image's place, ACPI places and CPU order from the log")
    return missing


def _proc(proc: Path, possible: Path, *, kernel_known: bool) -> SourceFacts:
    """The command line, the kernel and the CPUs as /proc tells of them."""
    found = SourceFacts(str(proc), "live")
    if cmdline := _text(proc / "cmdline"):
        found.put("cmdline", cmdline.strip(), "cmdline")
        if bad_options(cmdline):
            found.put("booted", True, "bad values among the options")
    if not kernel_known and (version := _text(proc / "version")):
        from memplan.kernel.builds import match_release

        name, note = match_release(version.split()[2], version)
        found.put("kernel.build", name, "version", weak=True)
        if note:
            found.note(note)
    cpuinfo = _text(proc / "cpuinfo")
    flags = re.search(r"^flags\s*: (.*)$", cpuinfo, re.MULTILINE)
    if flags is not None:
        words = flags[1].split()
        for flag, field in _FLAGS.items():
            found.put(f"cpus.{field}", flag in words, "cpuinfo")
        found.put("cpus.intel", "GenuineIntel" in cpuinfo, "cpuinfo")
    if numbers := re.findall(r"\d+", _text(possible)):
        found.put("cpus.possible", int(numbers[-1]) + 1, str(possible), weak=True)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
