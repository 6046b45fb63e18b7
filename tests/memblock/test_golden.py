"""memblock against traces of the kernel's own code."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from tests import oracle_replay

GOLDEN = Path(__file__).parent.parent / "golden" / "memblock"
VERSIONS = {"3.13": 178, "5.10": 194, "6.1": 198, "6.6.87": 111, "6.12": 199, "6.18": 111, "7.1": 111}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_trace_is_equal(version: str) -> None:
    traces = list(oracle_replay.traces(GOLDEN / f"v{version}.tar.xz"))
    assert len(traces) == VERSIONS[version]
    for name, lines in traces:
        assert lines is not None, name
        assert oracle_replay.replay(lines)[1][:3] == [], name


def trace(*changes: tuple[int, str, object]) -> list[str]:
    """A small trace of 6.12, with changes (line, field, value)."""
    lines: list[dict[str, object]] = [
        {
            "version": "v6.12",
            "source": "6.12.117",
            "max_numnodes": 1024,
            "initial": {"cnt": [0, 0], "max": [128, 128], "total": [0, 0]},
            "ops": 2,
        },
        {"op": ["add", 4096, 8192], "ret": 0, "memory": [[4096, 8192, 1024, 0]], "cnt": [1, 0], "total": [8192, 0]},
        {
            "op": ["phys_alloc", 16, 0],
            "ret": 12224,
            "reserved": [[12224, 16, 1024, 0]],
            "cnt": [1, 1],
            "total": [8192, 16],
            "warnings": ["dump_stack: memblock_alloc_range_nid"],
        },
        {"op": ["end"], "memory": [[4096, 8192, 1024, 0]], "reserved": [[12224, 16, 1024, 0]]},
    ]
    for line, field, value in changes:
        lines[line][field] = value
    return [json.dumps(line) for line in lines]


def test_the_small_trace_is_right() -> None:
    assert oracle_replay.replay(trace()) == (2, [])


@pytest.mark.parametrize(
    "change",
    [
        (2, "ret", 12288),
        (1, "memory", [[4096, 8192, 0, 0]]),
        (2, "reserved", [[12224, 16, 1024, 1]]),
        (2, "cnt", [1, 2]),
        (2, "max", [128, 256]),
        (2, "total", [8192, 64]),
        (2, "warnings", []),
        (2, "panic", "stop"),
        (0, "ops", 3),
        (1, "op", ["unheard_of", 1]),
    ],
    ids=lambda change: change[1],
)
def test_each_difference_counts(change: tuple[int, str, object]) -> None:
    assert oracle_replay.replay(trace(change))[1]


def test_a_cut_trace_counts() -> None:
    assert oracle_replay.replay(trace()[:2])[1]
    assert oracle_replay.replay([])[1]


def test_the_sum_and_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(trace()))
    (tmp_path / "b.jsonl.xz").write_bytes(lzma.compress("\n".join(trace()).encode()))
    assert oracle_replay.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 files, 4 operations, 0 mismatches\n"
    (tmp_path / "c.jsonl.xz").write_bytes(b"not a file of this kind")
    assert oracle_replay.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "3 files, 4 operations, 1 mismatches\n"


def test_nothing_to_replay_is_no_success(tmp_path: Path) -> None:
    assert oracle_replay.main([str(tmp_path)]) == 1
