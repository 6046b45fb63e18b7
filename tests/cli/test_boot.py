"""boot: the described machine in QEMU; a shell script that prints a real boot's log stands in for QEMU."""

import json
import lzma
import os
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from memplan import qemu
from memplan.cli import main

TESTS = Path(__file__).parent.parent
MACHINE = str(TESTS / "guests" / "hot-nodes.yaml")
KERNEL = "debian-6.12.107+deb12-amd64"


class Place(NamedTuple):
    """A folder with a bzImage's head, and the program that stands in for QEMU."""

    folder: Path
    image: str
    program: Path

    def prints(self, name: str) -> None:
        log = self.folder / "real.log"
        log.write_bytes(lzma.decompress((TESTS / "boots" / f"{name}.log.xz").read_bytes()))
        self.does(f"echo SeaBIOS; cat {log}")

    def does(self, script: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$@" >{self.folder}/words\n{script}\n')
        self.program.chmod(0o755)

    def run(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["boot", *words])
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    image = tmp_path / "vmlinuz"
    image.write_bytes(bytes(0x202) + b"HdrS" + bytes(0x1000))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Place(tmp_path, str(image), folder / qemu.PROGRAM)


def test_a_boot_that_the_plan_equals(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.prints("hot3-of-4-6.12")
    log = place.folder / "kept.log"
    status, out, err = place.run(capsys, MACHINE, "--kernel-image", place.image, "--kernel", KERNEL, "--log", str(log))
    assert status == 0, out
    assert out.startswith(f"{MACHINE}: ")
    assert out.splitlines()[0].endswith("the plan equals the boot")
    assert f"booting {MACHINE}: 0 lines in 0 s" in err
    kept = log.read_text().splitlines()
    assert "Linux version 6.12" in kept[0]
    assert any("Memory: " in line for line in kept)
    assert f"-kernel {place.image} -append console=ttyS0" in (place.folder / "words").read_text()


def test_a_boot_that_the_plan_does_not_equal(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.prints("hot3-of-4-6.12")
    words = (MACHINE, "--kernel-image", place.image, "--kernel", "6.1", "--format", "json")
    status, out, _ = place.run(capsys, *words)
    result = json.loads(out)
    assert status == 1
    assert result["same"] is False
    assert result["source"] == MACHINE
    assert result["first_difference"]["cause"].startswith("sizes of 6.12.107+deb12-amd64")


def test_show_prints_the_command_line_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.does("exit 1")
    initrd = place.folder / "initrd"
    words = (MACHINE, "--kernel-image", place.image, "--kernel", KERNEL, "--show")
    status, out, err = place.run(capsys, *words, "--initrd", str(initrd))
    assert status == 0
    assert err == ""
    shown = shlex.split(out)
    assert shown[0] == str(place.program)
    assert shown[shown.index("-initrd") + 1] == str(initrd)
    assert initrd.read_bytes()[110:].startswith(b"kernel/firmware/acpi/SRAT.aml\0")
    assert not (place.folder / "words").exists()


def test_notes_say_where_the_guest_differs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.does("exit 1")
    machine = str(TESTS / "guests" / "beyond-the-host.yaml")
    _, _, err = place.run(capsys, machine, "--kernel-image", place.image, "--kernel", KERNEL, "--show")
    assert err.startswith("note: QEMU puts RAM from 0 and from 4 GiB on")
    assert "note: the machine has no initrd, the guest one with the SRAT in it" in err.splitlines()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'qemu: no accelerator' >&2; exit 1", ["QEMU ended with status 1", "  qemu: no accelerator"]),
        ("echo Linux version 6.12.0; exec sleep 60", ["did not hand over memory within 1 s", "  Linux version 6.12.0"]),
    ],
)
def test_a_boot_that_fails(place: Place, capsys: pytest.CaptureFixture[str], script: str, said: list[str]) -> None:
    place.does(script)
    words = (MACHINE, "--kernel-image", place.image, "--kernel", KERNEL, "--seconds", "1")
    status, out, err = place.run(capsys, *words)
    assert status == 2
    assert out == ""
    for text in said:
        assert text in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MACHINE",), "Missing option '--kernel-image'"),
        (("no-such.yaml", "--kernel-image", "IMAGE"), "no-such.yaml"),
        (("MACHINE", "--kernel-image", "no-such"), "no-such: can't be read: No such file"),
        (("MACHINE", "--kernel-image", "MACHINE"), "is no bzImage"),
        (("MACHINE", "--kernel-image", "IMAGE"), "IMAGE"),
        (("MACHINE", "--kernel-image", "IMAGE", "--seconds", "0"), "0.0 is not in the range x>=1"),
        (("MACHINE", "--kernel-image", "IMAGE", "--kernel", "9.99"), "there is no kernel '9.99'"),
        (("NO-RAM", "--kernel-image", "IMAGE", "--kernel", KERNEL), "RAM"),
    ],
)
def test_bad_input(place: Place, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    place.does("exit 1")
    no_ram = place.folder / "no-ram.yaml"
    no_ram.write_text("e820: ['[mem 0x0-0x9ffff] reserved']\n")
    files = {"MACHINE": MACHINE, "IMAGE": place.image, "NO-RAM": str(no_ram)}
    status, out, err = place.run(capsys, *(files.get(word, word) for word in words))
    assert status == 2
    assert out == ""
    assert files.get(said, said) in err
    assert "Traceback" not in err
    assert "internal error" not in err


def test_without_qemu(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    status, _, err = place.run(capsys, MACHINE, "--kernel-image", place.image)
    assert status == 2
    assert err == "qemu-system-x86_64 is not installed (Debian: packages qemu-system-x86 and seabios)\n"
