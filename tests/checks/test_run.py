"""Running rules: what runs and what is left out, the order, processes, baselines, and what breaks."""

from __future__ import annotations

import lzma
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from memplan.checks.load import load_subject, sources
from memplan.checks.model import Finding
from memplan.checks.report import Report, Tally
from memplan.checks.run import Options, check_input, check_inputs, make_baseline
from memplan.errors import InputError, UsageError
from memplan.firmware.acpi_encode import encode_srat
from memplan.machine.load import parse_machine
from memplan.machine.places import Place
from tests.checks.stubs import MACHINE

BOOTS = Path(__file__).parents[1] / "boots"
MAP = "BIOS-e820: [mem 0x0000000000000000-0x000000003fffffff] usable\n"
MORE = "NX (Execute Disable) protection: active\n"


def told(report: Report) -> list[tuple[str, str, int, int]]:
    return [(own.rule, own.place.file, own.place.line, own.place.column) for own in report.findings]


def write_tables(folder: Path) -> None:
    srat = parse_machine(MACHINE, "machine").srat
    assert srat is not None
    (folder / "SRAT.aml").write_bytes(encode_srat(srat))
    (folder / "map.txt").write_text(MAP + MORE)


def test_a_description_is_checked_with_places(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    report = check_input("m.yaml", Options())
    assert told(report) == [("MP701", "m.yaml", 1, 10), ("MP201", "m.yaml", 8, 5)]
    assert (report.kernel, report.fail_on, report.problems) == ("6.12", "error", ())
    assert report.ran == ("MP201", "MP701", "MP702")
    assert report.left_out == {"the input has no raw ACPI tables": ("MP101",)}
    quiet, empty = report.findings
    assert (empty.severity, empty.subject, empty.weight) == ("error", "srat.memory[1]", 7)
    assert empty.excerpt == (
        "    8 |   - {pxm: 7, base: 1G, length: 0}  # nothing",
        "      |     ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
    )
    assert quiet.subject == "quiet"


@pytest.mark.parametrize("form", ["srat:\n{}", "srat: |\n{}"])
def test_affinities_written_as_log_lines_have_their_places(stubs: Path, form: str) -> None:
    rows = ["SRAT: PXM 0 -> APIC 0x00 -> Node 0", "", "ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x3fffffff]"]
    body = "\n".join(f"  {row}" if "|" in form or not row else f'  - "{row}"' for row in rows)
    head = f"cmdline: quiet\n\n\ne820: |\n  {MAP}"
    (stubs / "m.yaml").write_text(head + form.format(body))
    subject = load_subject("m.yaml")
    assert [subject.place(path).line for path in ("e820[0]", "srat.cpus[0]", "srat.memory[0]")] == [5, 7, 9]


def test_a_bare_table_is_checked_by_the_rules_that_apply(stubs: Path) -> None:
    write_tables(stubs)
    report = check_input("SRAT.aml", Options())
    assert report.ran == ("MP101", "MP201", "MP702")
    assert report.left_out == {"the input has no memory map": ("MP701",)}
    table, empty = report.findings
    assert table.place == Place("SRAT.aml", field="SRAT", offset=4)
    assert table.excerpt[0].startswith("0x0004 | ")
    data = (stubs / "SRAT.aml").read_bytes()
    offset = empty.place.offset
    assert offset is not None
    assert (data[offset], data[offset + 2]) == (1, 7)


def test_several_sources_of_one_machine(stubs: Path) -> None:
    write_tables(stubs)
    report = check_input("SRAT.aml+map.txt", Options())
    assert report.problems == ()
    assert report.file == "SRAT.aml+map.txt"
    assert report.left_out == {}
    assert {own.place.file for own in report.findings} == {"SRAT.aml"}
    subject = load_subject("map.txt+SRAT.aml")
    assert subject.machine is not None
    assert subject.machine.srat == parse_machine(MACHINE, "machine").srat
    assert subject.place("e820[0]") == Place("map.txt", 1, 1, "e820[0]")


def test_a_description_takes_a_table_of_another_build(stubs: Path) -> None:
    write_tables(stubs)
    (stubs / "m.yaml").write_text(MACHINE.replace("pxm: 7", "pxm: 9"))
    weights = [own.weight for own in check_input("m.yaml+SRAT.aml", Options()).findings if own.rule == "MP201"]
    assert weights == [7]


def test_a_damaged_source_is_used_only_by_force(stubs: Path) -> None:
    (stubs / "map.txt").write_text(f"Linux version 6.1.0 (a@b) #1\n{MAP}")
    (problem,) = check_input("map.txt", Options()).problems
    assert str(problem) == (
        "map.txt:2: the log ends in the BIOS-e820 map, which may go on "
        "(take the whole log; --force uses what can be used)"
    )
    assert check_input("map.txt", Options(force=True)).ran == ("MP701", "MP702")


def test_a_plus_may_be_part_of_a_name(stubs: Path) -> None:
    for name in ("a+b.log", "c.aml"):
        (stubs / name).touch()
    assert sources("a+b.log") == [Path("a+b.log")]
    assert sources("c.aml+a+b.log+d") == [Path("c.aml"), Path("a+b.log"), Path("d")]


@pytest.mark.parametrize("text", ["", "+", "a.aml+", "+a.aml"])
def test_a_source_without_a_name(stubs: Path, text: str) -> None:
    (problem,) = check_input(text, Options()).problems
    assert "the name of a source is empty" in str(problem)


@pytest.mark.parametrize("name", ["two-nodes-6.1", "hot1-top-3.13"])
def test_the_entries_of_a_boot_log_have_their_lines(stubs: Path, name: str) -> None:
    text = lzma.decompress((BOOTS / f"{name}.log.xz").read_bytes()).decode(errors="replace")
    (stubs / "boot.log").write_text(text)
    subject = load_subject("boot.log")
    assert subject.machine is not None
    assert subject.srat is not None
    lines = text.split("\n")
    for index, entry in enumerate(subject.machine.e820):
        line = lines[subject.place(f"e820[{index}]").line - 1]
        assert "BIOS-e820:" in line
        assert f"{entry.start:016x}" in line
    for index, affinity in enumerate(subject.srat.memory):
        line = lines[subject.place(f"srat.memory[{index}]").line - 1]
        assert "SRAT: Node" in line
        assert f"{affinity.base:#010x}-{affinity.base + affinity.length - 1:#010x}" in line
    assert "ommand line:" in lines[subject.place("cmdline").line - 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_broken_input_is_reported_and_the_rest_checked(stubs: Path, jobs: int) -> None:
    names = [f"{number:02}.yaml" for number in range(12)]
    for name in names:
        (stubs / name).write_text(MACHINE)
    (stubs / "05.yaml").write_text("e820: [")
    (stubs / "09.yaml").write_text(MACHINE.replace("1G", "1X"))
    tally = Tally()
    reports = list(tally.watch(check_inputs([*names, "gone.yaml"], Options(), jobs=jobs)))
    assert [report.file for report in reports] == [*names, "gone.yaml"]
    assert [report.file for report in reports if report.problems] == ["05.yaml", "09.yaml", "gone.yaml"]
    assert [len(report.findings) for report in reports] == [2] * 5 + [0] + [2] * 3 + [0] + [2] * 2 + [0]
    assert tally.status == 2
    assert tally.counts == {"error": 10, "warning": 10, "info": 0}
    assert [own.inputs for own in tally.left_out.values()] == [10]


def test_a_rule_that_breaks_does_not_stop_the_others(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMPLAN_DEBUG", raising=False)
    (stubs / "broken.yaml").write_text(MACHINE)
    report = check_input("broken.yaml", Options())
    assert [own.rule for own in report.findings] == ["MP701", "MP201"]
    (problem,) = report.problems
    assert "the rule MP702 could not be run: ZeroDivisionError" in str(problem)


def test_a_reader_that_breaks_does_not_stop_the_run(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMPLAN_DEBUG", raising=False)
    monkeypatch.setattr("memplan.checks.load.load_machine", lambda *_: ().index(0))
    (stubs / "m.yaml").write_text(MACHINE)
    (problem,) = check_input("m.yaml", Options()).problems
    assert str(problem) == "m.yaml: could not be read: ValueError: tuple.index(x): x not in tuple"


def test_the_status(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    (stubs / "quiet.yaml").write_text(MACHINE.replace("length: 0", "length: 1G"))

    def status(name: str, **changes: object) -> int:
        tally = Tally()
        list(tally.watch(check_inputs([name], replace(Options(), **changes))))  # type: ignore[arg-type]
        return tally.status

    assert status("m.yaml") == 1
    assert status("quiet.yaml") == 0
    assert status("quiet.yaml", fail_on="warning") == 1
    assert status("quiet.yaml", profile="strict") == 1


def test_another_kernel(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    assert check_input("m.yaml", Options(kernel="3.13")).kernel == "3.13"
    (problem,) = check_input("m.yaml", Options(kernel="3.12")).problems
    assert "no rules for Linux 3.12" in str(problem)


# -- baseline ------------------------------------------------------------------------------------------------------


def test_only_what_is_new_or_worse_than_the_baseline(stubs: Path) -> None:
    (stubs / "old.yaml").write_text(MACHINE)
    (stubs / "worse.yaml").write_text("name: moved\n" + MACHINE.replace("pxm: 7", "pxm: 8"))
    more = MACHINE.replace("  cpus:", "  - {pxm: 3, base: 2G, length: 0}\n  cpus:")
    (stubs / "more.yaml").write_text(more)
    baseline = make_baseline("old.yaml", Options())

    def new(name: str) -> list[str]:
        report = check_input(name, Options(), baseline)
        assert len(report.findings) + report.known == len(check_input(name, Options()).findings)
        return [finding.subject for finding in report.findings]

    assert new("old.yaml") == []
    assert new("worse.yaml") == ["srat.memory[1]"]
    assert new("more.yaml") == ["srat.memory[2]"]


def test_what_a_configuration_says_makes_nothing_new(stubs: Path) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    (stubs / "old.yaml").write_text("off: {MP701: not our concern}\n")
    baseline = make_baseline("m.yaml", Options(config="old.yaml"))
    (stubs / "new.yaml").write_text("severities: {MP701: error}\n")
    report = check_input("m.yaml", Options(config="new.yaml"), baseline)
    assert (report.findings, report.known) == ((), 2)


def test_a_baseline_must_be_readable(stubs: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: can't be read"):
        make_baseline("gone.yaml", Options())


# -- suppressions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("today", "shown"), [("2026-12-31", False), ("2027-01-01", False), ("2027-01-02", True)])
def test_a_suppressed_finding_comes_back_when_its_time_is_over(stubs: Path, today: str, shown: bool) -> None:
    (stubs / "m.yaml").write_text(MACHINE)
    options = Options(today=date.fromisoformat(today))
    fingerprint = check_input("m.yaml", options).findings[0].fingerprint
    entry = f"- {{fingerprint: {fingerprint}, until: 2027-01-01, reason: known}}\n"
    (stubs / "memplan.yaml").write_text(f"suppress:\n{entry}")
    config_forget()
    report = check_input("m.yaml", options)
    assert [finding.rule for finding in report.findings] == ["MP701", "MP201"][1 - shown :]
    assert report.suppressed == 1 - shown
    if shown:
        assert report.findings[0].note == "its suppression (memplan.yaml:2: known) expired on 2027-01-01"


def test_a_fingerprint_tells_by_rule_and_subject_alone() -> None:
    here, there = Place("a", 1), Place("b", 2)
    one = Finding("MP101", "error", "this", here, "node 1")
    assert one.fingerprint == Finding("MP101", "info", "that", there, "node 1").fingerprint
    assert one.fingerprint != replace(one, subject="node 2").fingerprint
    assert one.fingerprint != replace(one, rule="MP102").fingerprint
    assert len(one.fingerprint) == 16


def config_forget() -> None:
    from memplan.checks.config import forget

    forget()


@pytest.mark.parametrize("text", ["", "nothing of use\n"])
def test_what_cannot_be_checked(stubs: Path, text: str) -> None:
    (stubs / "odd.txt").write_text(text)
    with pytest.raises((InputError, UsageError)):
        load_subject("odd.txt")


def test_an_input_in_a_folder_that_is_gone(stubs: Path) -> None:
    gone = stubs / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    (problem,) = check_input("m.yaml", Options()).problems
    assert str(problem) == "m.yaml: could not be read: No such file or directory"
