"""This computer as a source: whatever may be read here, nothing fails, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.firmware import live
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
