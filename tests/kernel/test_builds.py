"""Builds of six versions learned from their symbols and configurations, against what their images told.

The maps keep the symbols that may be asked for, and each two-hundredth of the others.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from memplan.kernel.learn import Inputs, Learned, learn, to_yaml
from memplan.kernel.load import find_kernel
from memplan.units import PAGE_SIZE
from tests.kernel.tiny import DATA

RELEASES = ("3.13.10", "4.19.72", "5.10.89", "5.15.135", "6.18.8", "7.1.5")
#: What a build's own headers tell, and no symbol does.
_HEADERS = {"image.init_size", "image.input_data", "image.kernel_alignment", "image.output_len"}


def learned(release: str, folder: Path) -> Learned:
    symbols = folder / "System.map"
    symbols.write_bytes(lzma.decompress((DATA / f"lab-{release}.map.xz").read_bytes()))
    return learn(Inputs(system_map=symbols, config=DATA / f"lab-{release}.config"), release=release)


@pytest.mark.parametrize("release", RELEASES)
def test_places_and_options(release: str, tmp_path: Path) -> None:
    found = {name: value for group in learned(release, tmp_path).facts.values() for name, value in group.items()}
    known = find_kernel(f"lab-{release}")
    wanted = {
        name: value
        for name, value in known.facts.items()
        if name.startswith(("image.", "config.")) and name not in _HEADERS
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert not {name for name in found if name.startswith("config.")} - set(wanted)


@pytest.mark.parametrize("release", RELEASES)
def test_sizes_without_type_information(release: str, tmp_path: Path) -> None:
    """All are computed but the two that say to be guesses, and those are off by less than a page."""
    result = learned(release, tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(to_yaml(result)) + "\n")
    mine, known = find_kernel(str(path)), find_kernel(f"lab-{release}")
    assert (mine.version, mine.rules) == (release.rpartition(".")[0], known.rules)
    guesses = {"struct.zone", "struct.pglist_data"}
    structs = {name for name in known.facts if name.startswith("struct.")} - guesses
    assert {name: mine.facts[name] for name in structs} == {name: known.facts[name] for name in structs}
    assert abs(mine.fact("struct.pglist_data") - known.fact("struct.pglist_data")) < PAGE_SIZE
    (guess,) = (note for note in result.notes if note.startswith("only a guess"))
    assert guess.endswith("as this build does not tell: struct.zone, struct.pglist_data")
    assert not [note for note in result.notes if "X86_RESERVE_LOW" in note]
