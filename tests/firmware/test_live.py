"""This computer as a source: whatever may be read here, nothing fails, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.firmware import live
from memplan.firmware.source import SourceFacts
from memplan.machine.model import E820_RAM, E820Entry


def test_places_that_can_not_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iomem").write_text("00000000-00000000 : System RAM\n")
    entry = tmp_path / "memmap" / "0"
    entry.mkdir(parents=True)
    for name, text in (("start", "0x0"), ("end", "0xfffff"), ("type", "System RAM")):
        (entry / name).write_text(text)
    monkeypatch.setattr(live, "_LOG_COMMANDS", (("no-such-command-as-this",),))
    monkeypatch.setattr(live, "_LOG_FILES", ())
    monkeypatch.setattr(live, "_PLACES", tuple(str(tmp_path / name) for name in ("memmap", "iomem", "tables")))
    sources = live.read_live()
    notes = "\n".join(note for source in sources for note in source.notes)
    assert "no-such-command-as-this can't be run" in notes
    assert f"{tmp_path}/iomem: all addresses are 0" in notes
    assert f"{tmp_path}/tables: can't be read: No such file or directory" in notes
    told = [source.facts["e820"].value for source in sources if "e820" in source.facts]
    assert told == [(E820Entry(0, 0x100000, E820_RAM),)]


def test_this_computer() -> None:
    facts = {path for source in live.read_live() for path in source.facts}
    assert {"cmdline", "cpus.possible"} <= facts


LOG = "Linux version 6.1.0-55-amd64 (a@b) #1\nCommand line: x\nBIOS-provided physical RAM map:\n" + "".join(
    f"BIOS-e820: [mem {low}-{high}] usable\n"
    for low, high in (
        ("0x0000000000000000", "0x000000000009fbff"),
        ("0x0000000000100000", "0x000000007fffffff"),
    )
)


def prints(folder: Path, name: str, text: str, status: int = 0) -> tuple[str, ...]:
    """A command that prints `text`."""
    (folder / f"{name}.txt").write_text(text)
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat '{folder / name}.txt'\nexit {status}\n")
    program.chmod(0o755)
    return (str(program),)


def log_of(
    monkeypatch: pytest.MonkeyPatch, commands: tuple[tuple[str, ...], ...], files: tuple[Path, ...]
) -> SourceFacts:
    monkeypatch.setattr(live, "_LOG_COMMANDS", commands)
    monkeypatch.setattr(live, "_LOG_FILES", tuple(map(str, files)))
    monkeypatch.setattr(live, "_PLACES", ())
    return live.read_live()[0]


def test_the_first_log_that_tells_of_the_map_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = prints(tmp_path, "refused", LOG, 1)
    late = prints(tmp_path, "late", "Linux version 6.1.0 (a@b) #1\nCommand line: x\nlast_pfn = 0x80000\n")
    nothing = prints(tmp_path, "nothing", "words\n")
    whole = prints(tmp_path, "whole", LOG)
    assert "e820" in log_of(monkeypatch, (refused, late, nothing, whole), ()).facts
    (told,) = (found := log_of(monkeypatch, (refused, late, nothing), ())).notes
    assert "e820" not in found.facts
    assert f"{refused[0]} is not permitted; {late[0]} no longer has the boot's first lines; {nothing[0]} no lon" in told


def test_a_file_of_the_log_stands_in_for_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late.log").write_text("Linux version 6.1.0 (a@b) #1\nlast_pfn = 0x80000\n")
    (tmp_path / "boot.log").write_text(LOG)
    files = (tmp_path / "none", tmp_path / "late.log", tmp_path / "boot.log")
    assert "e820" in log_of(monkeypatch, (), files).facts
    assert "e820" not in log_of(monkeypatch, (), files[:2]).facts


def test_what_proc_tells_and_what_it_leaves_open(tmp_path: Path) -> None:
    possible = tmp_path / "possible"
    bare = live._proc(tmp_path, possible, kernel_known=False)
    assert bare.facts == {}
    (tmp_path / "cmdline").write_text("crashkernel=x y\n")
    (tmp_path / "version").write_text("Linux version 6.1.0-0.local (a@b) #1\n")
    (tmp_path / "cpuinfo").write_text("vendor_id : GenuineIntel\nflags\t\t: fpu pse pdpe1gb\n")
    possible.write_text("0-15\n")
    told = {name: fact.value for name, fact in live._proc(tmp_path, possible, kernel_known=False).facts.items()}
    assert (told["cmdline"], told["booted"], told["cpus.possible"]) == ("crashkernel=x y", True, 16)
    assert (told["cpus.pse"], told["cpus.gbpages"], told["cpus.intel"]) == (True, True, True)
    assert told["kernel.build"] == "6.1.0"
    assert "kernel.build" not in live._proc(tmp_path, possible, kernel_known=True).facts
    (tmp_path / "cmdline").write_text("quiet\n")
    assert "booted" not in live._proc(tmp_path, possible, kernel_known=True).facts
