"""One log in the ways in which people paste it, quote it, wrap it, send it and pack it: the same machine comes out."""

from __future__ import annotations

import base64
import bz2
import email.mime.application
import email.mime.multipart
import email.mime.text
import gzip
import html
import json
import lzma
import os
import quopri
import re
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from memplan.errors import InputError
from memplan.firmware.combine import import_files
from memplan.firmware.source import open_source
from memplan.klog.layout import kernel_lines
from memplan.machine.model import Machine
from tests.firmware.logs import text
from tests.reports.logs import report

LOGS = {
    "report": report("f15-plain"),
    "long lines": text("hot3-of-4-6.12"),
    "two boots": report("f03-kdump-two-boots"),
}
_STAMP = re.compile(r"^\[ *(\d+)\.(\d{6})\] ?")


def stamped(change: Callable[[str, str], str]) -> Callable[[str], str]:
    """Each line as `change` makes it of its stamp and its text."""

    def apply(log: str) -> str:
        out = []
        for line in log.splitlines():
            found = _STAMP.match(line)
            stamp = f"{int(found[1]):5d}.{found[2]}" if found else "    0.000000"
            out.append(change(stamp, line[found.end() :] if found else line))
        return "\n".join(out) + "\n"

    return apply


def lines(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda log: "".join(f"{change(line)}\n" for line in log.splitlines())


def wrapped(width: int, mark: str = "", indent: str = "") -> Callable[[str], str]:
    def apply(log: str) -> str:
        out: list[str] = []
        for line in log.splitlines():
            out += textwrap.wrap(
                line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent
            ) or [""]
        return "".join(f"{mark}{line}\n" for line in out)

    return apply


def cut(width: int) -> Callable[[str], str]:
    return lambda log: "".join(
        line[at : at + width] + "\n" for line in log.splitlines() for at in range(0, max(len(line), 1), width)
    )


def bare(log: str) -> str:
    return stamped(lambda _, line: line)(log)


def mail(encoding: str) -> Callable[[str], str]:
    head = f"Subject: boot\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    if encoding == "base64":
        return lambda log: head + base64.encodebytes(log.encode()).decode()
    return lambda log: head + quopri.encodestring(log.encode()).decode()


def attached(log: str) -> str:
    parts = email.mime.multipart.MIMEMultipart()
    parts.attach(email.mime.text.MIMEText("The log is attached, mem=40 is not meant.\n"))
    parts.attach(email.mime.application.MIMEApplication(log.encode(), Name="dmesg.txt"))
    return parts.as_string()


def journal(stamp: str, line: str) -> str:
    return f"__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1594561417000000\n_TRANSPORT=kernel\nMESSAGE={line}\n"


def verbose(stamp: str, line: str) -> str:
    return f"Sun 2020-07-12 15:43:37.123456 CEST [s=abc;i=1]\n    _TRANSPORT=kernel\n    MESSAGE={line}"


def pretty(stamp: str, line: str) -> str:
    return f'{{\n\t"_TRANSPORT" : "kernel",\n\t"MESSAGE" : {json.dumps(line)},\n\t"PRIORITY" : "6"\n}}'


WAYS: dict[str, Callable[[str], str]] = {
    "dmesg -T": stamped(lambda s, t: f"[Sun Jul 12 15:43:37 2020] {t}"),
    "dmesg -T, German": stamped(lambda s, t: f"[So Jul 12 15:43:37 2020] {t}"),
    "dmesg -T, French": stamped(lambda s, t: f"[dim. juil. 12 15:43:37 2020] {t}"),
    "dmesg -T, Japanese": stamped(lambda s, t: f"[日  7月 12 15:43:37 2020] {t}"),
    "dmesg -xT": stamped(lambda s, t: f"kern  :info  : [Sun Jul 12 15:43:37 2020] {t}"),
    "dmesg -H": stamped(lambda s, t: f"[{'Jul12 15:43' if 'Linux version' in t else '  +0.000001'}] {t}"),
    "dmesg -xd": stamped(lambda s, t: f"kern  :info  : [{s} <    0.000001>] {t}"),
    "callers": stamped(lambda s, t: f"[{s}][    T0] {t}"),
    "journalctl -o json": stamped(lambda s, t: json.dumps({"_TRANSPORT": "kernel", "MESSAGE": t})),
    "journalctl -o json, bytes": stamped(lambda s, t: json.dumps({"MESSAGE": list(t.encode())})),
    "journalctl -o json-pretty": stamped(pretty),
    "journalctl -o json-sse": stamped(lambda s, t: "data: " + json.dumps({"MESSAGE": t})),
    "journalctl -o export": stamped(journal),
    "journalctl -o verbose": stamped(verbose),
    "YAML": lines(lambda line: f"  - {json.dumps(line)}"),
    "YAML, single quotes": lines(lambda line: "- '" + line.replace("'", "''") + "'"),
    "YAML, unquoted": lines(lambda line: f"- {line}"),
    "YAML, flow": stamped(lambda s, t: f"- {{dt: '2023-01-13T04:30:52.1', lvl: target, msg: '[{s}] {t}'}}"),
    "YAML, bad quotes": stamped(lambda s, t: f'- {{"dt": "2023-01-13", "msg": "[{s}] {t}"}}'),
    "a JSON document": lambda log: json.dumps({"id": 1, "dmesg": log}),
    "a JSON list": lambda log: json.dumps(log.splitlines()),
    "a JSON list, indented": lambda log: json.dumps(log.splitlines(), indent=2),
    "a container's log": lines(lambda line: json.dumps({"log": line + "\n", "stream": "stdout"})),
    "CSV": lines(lambda line: '2020-07-12T15:43:37,host,"' + line.replace('"', '""') + '"'),
    "HTML": lines(lambda line: html.escape(line) + "<br>"),
    "HTML in one line": lambda log: "<pre>" + "<br/>".join(map(html.escape, log.splitlines())) + "</pre>",
    "HTML with numbers": lines(lambda line: f'<div><span class="n">7</span> {html.escape(line)}</div>'),
    "HTML without blanks": lines(lambda line: "<br>" + html.escape(line).replace(" ", "&nbsp;")),
    "entities": lines(html.escape),
    "quoted": lines(lambda line: f"> {line}"),
    "quoted thrice": lines(lambda line: f"> > > {line}"),
    "quoted and wrapped": wrapped(74, mark="> "),
    "quoted-printable": mail("quoted-printable"),
    "base64": mail("base64"),
    "attached": attached,
    "wrapped at 72": wrapped(72),
    "wrapped at 80": wrapped(80),
    "wrapped at 78, indented": wrapped(78, indent="    "),
    "cut at 72": cut(72),
    "cut at 80": cut(80),
    "cut at 100": cut(100),
    "bare": bare,
    "indented": lines(lambda line: f"    {line}"),
    "numbered": lambda log: "".join(f"{n:5d}  {line}\n" for n, line in enumerate(log.splitlines(), 1)),
    "table": lines(lambda line: f"| {line} |"),
    "line ends shown": lines(lambda line: f"{line}^M$"),
    "blanks at the ends": lines(lambda line: f"{line}    "),
    "double spaced": lines(lambda line: f"{line}\n"),
    "old Macintosh": lambda log: log.replace("\n", "\r"),
    "colours": stamped(lambda s, t: f"\x1b[32m[{s}] \x1b[0m\x1b[33m{t[:4]}\x1b[0m{t[4:]}"),
    "colours without escapes": stamped(lambda s, t: f"[32m[{s}] [0m{t}"),
    "a build's log": lines(lambda line: f"boot\tRun\t2024-05-01T12:00:00.1234567Z {line}"),
    "a serial console's log": lines(lambda line: f"2020-07-12T15:43:37.000Z|  guest|serial0: {line}"),
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda data: data.decode().encode("utf-16-le"),
    "UTF-16 big-endian": lambda data: data.decode().encode("utf-16-be"),
    "UTF-32": lambda data: data.decode().encode("utf-32"),
    "UTF-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
}


def machine_of(path: Path, data: bytes) -> Machine:
    path.write_bytes(data)
    return import_files([path])[0]


@pytest.fixture(scope="module", params=sorted(LOGS))
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Machine]:
    name: str = request.param
    # A line without a stamp stands for none in a log in which all have one.
    whole = LOGS[name] if name != "two boots" else stamped(lambda s, t: f"[{s}] {t}")(LOGS[name])
    return whole, machine_of(tmp_path_factory.mktemp("plain") / "boot.log", whole.encode())


@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_way_to_paste_a_log_tells_the_same(way: str, log: tuple[str, Machine], tmp_path: Path) -> None:
    assert machine_of(tmp_path / "boot.log", WAYS[way](log[0]).encode()) == log[1]


@pytest.mark.parametrize("way", sorted(PACKED))
def test_every_packing_and_encoding_tells_the_same(way: str, log: tuple[str, Machine], tmp_path: Path) -> None:
    assert machine_of(tmp_path / "boot.log", PACKED[way](log[0].encode())) == log[1]


def test_zstd(log: tuple[str, Machine], tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    assert machine_of(tmp_path / "boot.log", zstandard.compress(log[0].encode())) == log[1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"[    0.000000] Linux version 6.1 (a) #1\n" * 9)[:-12], "packed by gzip and damaged"),
        (lzma.compress(b"[    0.000000] Linux version 6.1 (a) #1\n" * 9)[:-20], "packed by xz and damaged"),
        (b"BZh9" + bytes(100), "packed by bzip2 and damaged"),
    ],
    ids=["gzip", "xz", "bzip2"],
)
def test_what_is_packed_and_damaged_ends_in_one_message(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        machine_of(tmp_path / "boot.log", data)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_bytes(gzip.compress(bytes(257 << 20), 1))
    with open_source(path).open() as stream, pytest.raises(InputError, match="unpacks to more than 256 MiB"):
        all(iter(lambda: stream.read(1 << 20), b""))


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = LOGS["report"].encode()
    threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
    assert import_files([pipe])[0] == machine_of(tmp_path / "boot.log", data)


def told(log: str, tmp_path: Path) -> list[tuple[str, bool]]:
    path = tmp_path / "boot.log"
    path.write_text(log)
    return [(line.text, line.cut) for line in kernel_lines(open_source(path))]


def test_a_command_line_that_alone_was_wrapped(tmp_path: Path) -> None:
    texts = [text for text, _ in told(report("f10-cmdline-wrapped"), tmp_path)]
    (cmdline,) = (text for text in texts if text.startswith("Command line: "))
    assert cmdline.endswith("tsc=unstable log_buf_len=1073741824 acpi.debug_layer=0xf acpi.debug_level=0x307")


def test_what_may_have_been_cut_is_marked(tmp_path: Path) -> None:
    log = "[    0.000000] Linux version 6.1.0 (a@b) #1\n[    0.000000] Command line: root=/dev/sda1\nWhat is this?\n"
    assert ("Command line: root=/dev/sda1", True) in told(log + LOGS["report"], tmp_path)


def test_lines_of_other_programs_are_not_joined(tmp_path: Path) -> None:
    log = LOGS["report"] + "Begin: Loading essential drivers ... done.\n01000000-01abcfff : Kernel code\n"
    assert [text for text, _ in told(log, tmp_path)][-2:] == [
        "Begin: Loading essential drivers ... done.",
        "01000000-01abcfff : Kernel code",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Reserving 256MB of memory at 80MB for crashkernel (System RAM: 8015MB)",
        "crashkernel reserved: 0x0000000005000000 - 0x0000000015000000 (256 MB)",
        "__memblock_free_early: [0x0000000005000000-0x0000000005001fff] setup",
        "Allocated new RAMDISK: [mem 0x7cfff000-0x7ffff1ff]",
        "Dentry cache hash table entries: 1048576 (order: 11, 8388608 bytes)",
        "  Node 1: 0x0000000200000000",
        "Freeing SMP alternatives memory: 32K",
    ],
)
def test_a_line_that_tells_of_memory_is_never_the_rest_of_a_line_before(line: str, tmp_path: Path) -> None:
    """In a log without stamps, whose widest lines are all alike, as if it had been wrapped there."""
    change = "memblock_reserve: [0x0000000005000000-0x0000000015000000] "
    wide, before = change + "__alloc_memory_core_early", change + "reserve_crashkernel"
    log = "\n".join(["Linux version 3.13.0 (a@b) #1", "Command line: quiet", wide, wide, wide, before, line, wide])
    assert line in [text for text, _ in told(log, tmp_path)]
