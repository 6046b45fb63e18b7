"""Several sources become one machine, and ``memplan import`` writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.firmware.combine import combine, import_files
from memplan.firmware.source import SourceFacts
from memplan.machine.dump import dump_machine
from memplan.machine.load import load_machine, parse_machine
from memplan.machine.model import E820_RAM, E820_RESERVED, Acpi, E820Entry, Efi, Machine
from tests.firmware.logs import NAMES, ordinary, text

MAP = (E820Entry(0, 0x9FC00, E820_RAM), E820Entry(0x9FC00, 0xA0000, E820_RESERVED))


def log_file(tmp_path: Path, log: str, name: str = "boot.log") -> Path:
    path = tmp_path / name
    path.write_text(log)
    return path


def found(source: str, /, **facts: object) -> SourceFacts:
    result = SourceFacts(source, "test")
    for path, value in facts.items():
        result.put(path.replace("__", "."), value, "told", line=7)
    return result


def run(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "memplan", "import", *args], check=False, input=stdin, capture_output=True
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ordinary", "memblock=debug"])
def test_what_is_written_loads_again(name: str, kind: str, tmp_path: Path) -> None:
    log = ordinary(text(name)) if kind == "ordinary" else text(name)
    machine, comments, _ = import_files([log_file(tmp_path, log)])
    written = dump_machine(machine, comments)
    assert parse_machine(written, "machine.yaml") == machine
    assert (
        f"boot.log:{log.splitlines().index(next(x for x in log.splitlines() if 'BIOS-e820' in x)) + 1} BIOS" in written
    )


def test_later_sources_fill_in_and_override() -> None:
    machine, origins = combine(
        [
            found("first", e820=MAP, cmdline="quiet", cpus__possible=4, bios__lowmem=0x9F000),
            found("second", cmdline="movable_node", acpi__hpet=True, cpus__la57=True),
        ]
    )
    assert machine.cmdline == "movable_node"
    assert machine.acpi == Acpi(hpet=True)
    assert (machine.cpus.possible, machine.cpus.la57) == (4, True)
    assert machine.bios.lowmem == 0x9F000
    assert origins["cmdline"] == "second:7 told"
    assert origins["cpus.possible"] == "first:7 told"


def test_weak_facts_only_fill_in() -> None:
    weak = found("second", e820=MAP)
    weak.put("cmdline", "guessed", weak=True)
    weak.put("name", "guessed", weak=True)
    machine, _ = combine([found("first", cmdline="told"), weak])
    assert (machine.cmdline, machine.name) == ("told", "guessed")
    machine, _ = combine([weak, found("first", name="told")])
    assert machine.name == "told"


def test_a_whole_part_replaces_what_was_told_of_it() -> None:
    machine, origins = combine([found("log", e820=MAP, efi__secure=True), found("map", efi=Efi(descriptor_size=40))])
    assert machine.efi == Efi(descriptor_size=40)
    assert "efi.secure" not in origins
    machine, _ = combine([found("map", e820=MAP, efi=Efi(descriptor_size=40)), found("log", efi__secure=True)])
    assert machine.efi == Efi(descriptor_size=40, secure=True)


@given(st.lists(st.dictionaries(st.sampled_from(["cmdline", "name"]), st.text(max_size=3)), min_size=1))
def test_the_last_word_counts(told: list[dict[str, str]]) -> None:
    machine, _ = combine([found("map", e820=MAP), *(found(str(i), **facts) for i, facts in enumerate(told))])
    last: dict[str, str] = {}
    for facts in told:
        last |= facts
    assert (machine.cmdline, machine.name) == (last.get("cmdline", ""), last.get("name", ""))


def test_no_map_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing here tells of the memory map"):
        combine([found("tables", acpi__hpet=True)])


def test_a_ring_buffer_that_wrapped_and_a_whole_map_make_one_machine(tmp_path: Path) -> None:
    log = ordinary(text("two-nodes-6.1"))
    head = log[: log.index("NX (Execute")]
    late = log[log.index("ACPI: Early table") :]
    first, last = log_file(tmp_path, head, "head.log"), log_file(tmp_path, late, "late.log")
    whole, _, _ = import_files([log_file(tmp_path, log)])
    parts, comments, _ = import_files([first, last])
    assert (parts.e820, parts.srat, parts.acpi, parts.cmdline) == (whole.e820, whole.srat, whole.acpi, whole.cmdline)
    assert "head.log" in comments["e820"]
    assert "late.log" in comments["srat"]


def test_notes_end_where_another_source_tells_the_field(tmp_path: Path) -> None:
    log = ordinary(text("kaslr-8g-5.10"))
    iomem = "\n00100000-bffdffff : System RAM\n  1e4c00000-1e5a01d31 : Kernel code\n"
    first = log_file(tmp_path, log)
    assert any("no line tells where the kernel image lies" in note for note in import_files([first])[2])
    machine, comments, notes = import_files([first, log_file(tmp_path, log + iomem, "whole.log")])
    assert machine.kernel.load_address == 0x1E4C00000
    assert "Kernel code" in comments["kernel.load_address"]
    assert not any("no line tells where the kernel image lies" in note for note in notes)


def test_damage_needs_force(tmp_path: Path) -> None:
    log = ordinary(text("plain-4g-3.13"))
    cut = log_file(tmp_path, log[: log.index("BIOS-e820: [mem 0x00000000bffe0000")])
    with pytest.raises(InputError, match="--force"):
        import_files([cut])
    machine, _, notes = import_files([cut], force=True)
    assert len(machine.e820) == 4
    assert any("ends in the BIOS-e820 map" in note for note in notes)


def test_force_passes_over_a_source_that_is_no_use(tmp_path: Path) -> None:
    good, bad = log_file(tmp_path, text("plain-4g-3.13")), log_file(tmp_path, "nothing of use\n", "bad.txt")
    with pytest.raises(InputError, match="not recognised"):
        import_files([good, bad])
    machine, _, notes = import_files([good, bad], force=True)
    assert isinstance(machine, Machine)
    assert any("bad.txt" in note for note in notes)


def test_the_command_writes_a_file_whole_or_not_at_all(tmp_path: Path) -> None:
    log, out = log_file(tmp_path, text("hot1-top-6.12")), tmp_path / "machine.yaml"
    done = run(str(log), "-o", str(out))
    assert done.returncode == 0
    machine, _, _ = import_files([log])
    assert parse_machine(out.read_bytes(), "machine.yaml") == machine
    before = out.read_bytes()
    done = run(str(log_file(tmp_path, "no log\n", "bad.log")), "-o", str(out))
    assert done.returncode == 2
    assert b"bad.log: not recognised" in done.stderr
    assert out.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.log", "boot.log", "machine.yaml"]


def test_the_command_reads_a_pipe_and_names_another_kernel() -> None:
    done = run("-", "--kernel", "6.12", stdin=text("two-nodes-6.1").encode())
    assert done.returncode == 0
    machine = parse_machine(done.stdout, "stdout")
    assert machine.kernel.build == "6.12"
    assert b"<stdin>:" in done.stdout


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(bytes(range(256)) * 1000), "not recognised"),
        (lambda path: path.mkdir(), "this folder holds nothing"),
        (lambda path: path.symlink_to("/dev/zero"), "is a character device"),
        (lambda path: path.symlink_to(path), "can't be read"),
        (lambda path: None, "can't be read: No such file"),
    ],
)
def test_bad_sources_end_in_one_message_and_status_2(make: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "source"
    assert callable(make)
    make(path)
    done = run(str(path))
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert not done.stdout


def test_an_option_with_a_bad_value_is_told_and_planned_as_the_kernel_took_it(tmp_path: Path) -> None:
    log = text("plain-4g-3.13").replace("nokaslr", "nokaslr kernelcore=plenty")
    out = tmp_path / "machine.yaml"
    done = run(str(log_file(tmp_path, log)), "-o", str(out))
    assert done.returncode == 0
    assert b"kernelcore=plenty has a bad value" in done.stderr
    assert "kernelcore=plenty" in out.read_text()
    assert load_machine(out).booted


def test_nothing_to_import_is_an_error() -> None:
    assert run().returncode == 2


def test_import_and_simulate_join_by_a_pipe(tmp_path: Path) -> None:
    done = run(str(log_file(tmp_path, text("two-nodes-6.1"))), "-o", "-")
    assert done.returncode == 0
    assert parse_machine(done.stdout, "stdout")
    plan = subprocess.run(
        [sys.executable, "-m", "memplan", "simulate", "-"], check=False, input=done.stdout, capture_output=True
    )
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout
