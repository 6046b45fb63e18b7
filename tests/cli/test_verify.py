"""verify: arguments in, the right answer in both formats, the right exit status."""

import json
import lzma
from pathlib import Path

import pytest

from memplan.cli import main
from tests.reports.logs import report

BOOTS = Path(__file__).parent.parent / "boots"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "boot.log"
    path.write_bytes(lzma.decompress((BOOTS / "two-nodes-6.1.log.xz").read_bytes()))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(words)
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


def altered(log: Path) -> Path:
    path = log.with_name("altered.log")
    path.write_text(log.read_text().replace("[0x000000007de00000-", "[0x000000007dc00000-"))
    return path


def test_an_equal_boot(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "verify", str(log))
    assert status == 0
    assert err == ""
    first, second, kinds = out.splitlines()
    assert first.startswith(f"{log}: ")
    assert first.endswith(" facts equal: the plan equals the boot")
    assert second == "  log of Linux 6.1.0-55-amd64, planned with kernel debian-6.1.0-55-amd64"
    assert "NODE_DATA 2/2, zone 4/4" in kinds


def test_a_difference_shows_both_sides(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "verify", str(altered(log)))
    assert status == 1
    lines = out.splitlines()
    assert lines[0].endswith("the plan differs from the boot")
    at = next(number for number, line in enumerate(lines) if line.startswith("first difference, at fact "))
    assert "line 99: " in lines[at + 1]
    assert "[0x000000007dc00000-0x000000007fdfffff]" in lines[at + 1]
    assert lines[at + 2] == "  plan:   reserve [0x7de00000-0x7fdfffff] memblock_alloc_range_nid"
    assert lines[at + 3].startswith("          step sparse_init, owner memory map")
    assert lines[at + 4].startswith("  likely cause: the size of memory map")


def test_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "verify", "--format", "json", str(log))
    whole = json.loads(out)
    assert status == 0
    assert (whole["version"], whole["release"], whole["same"]) == (1, "6.1.0-55-amd64", True)
    assert whole["equal"] == whole["total"] == sum(kind["total"] for kind in whole["kinds"])
    assert whole["first_difference"] is None
    status, out, _ = run(capsys, "verify", "--format", "json", str(altered(log)))
    first = json.loads(out)["first_difference"]
    assert status == 1
    assert first["kernel"]["line"] == 99
    assert first["kernel"]["values"] == [0x7DC00000, 0x7FDFFFFF]
    assert first["plan"]["values"] == [0x7DE00000, 0x7FDFFFFF]
    assert (first["plan"]["step"], first["plan"]["line"]) == ("sparse_init", 0)
    assert first["cause"].startswith("the size of memory map")


def test_a_described_machine_and_a_kernel(log: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    machine = tmp_path / "machine.yaml"
    assert run(capsys, "import", str(log), "-o", str(machine))[0] == 0
    assert run(capsys, "verify", str(log), str(machine))[0] == 0
    status, out, _ = run(capsys, "verify", str(log), str(machine), "--kernel", "6.12")
    assert status == 1
    assert "  log of Linux 6.1.0-55-amd64, planned with kernel 6.12" in out.splitlines()
    assert "likely cause: sizes of 6.1.0-55-amd64, which differ from those of 6.12 (memplan kernel learns them)" in out
    machine.write_text(machine.read_text().replace("0x000000013fffffff", "0x000000014fffffff"))
    assert run(capsys, "verify", str(log), str(machine))[0] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no-such.log",), "no-such.log: can't be read"),
        (("LOG", "no-such.yaml"), "no-such.yaml"),
        (("LOG", "--kernel", "9.99"), "there is no kernel '9.99'"),
        (("EMPTY",), "is empty"),
        (("LOG", "--format", "xml"), "'xml' is not one of 'text', 'json'"),
        ((), "Missing argument 'LOG'"),
    ],
)
def test_bad_input(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    files = {"LOG": str(log), "EMPTY": str(tmp_path / "empty")}
    status, out, err = run(capsys, "verify", *(files.get(word, word) for word in words))
    assert status == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_what_nobody_can_tell_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "boot.log"
    path.write_text(report("f05-mtrr-hole"))
    status, out, _ = run(capsys, "verify", str(path))
    assert status == 0
    lines = out.splitlines()
    assert lines[0].endswith("the plan equals the boot as far as can be told (1 not known)")
    (at,) = (number for number, line in enumerate(lines) if line.startswith("  not known: "))
    assert lines[at].endswith("NODE_DATA(0) allocated [mem 0x44b7f8000-0x44b7fbfff]")
    assert "nobody told firmware's EFI memory map" in lines[at + 1]
    _, out, _ = run(capsys, "verify", "--format", "json", str(path))
    (unknown,) = json.loads(out)["unknown"]
    assert unknown["kernel"]["kind"] == unknown["plan"]["kind"] == "NODE_DATA"
    assert unknown["reason"].startswith("firmware's EFI memory map")
