"""Kernels' files that are wrong or no kernels' files: told with line and field, and nothing else of what they hold."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.kernel.build_file import read_build_file
from memplan.kernel.facts import FactValue, is_text, span_of
from memplan.kernel.learn import Learned, to_yaml
from memplan.kernel.names import fact_names

HEAD = 'version: "6.12"\nbased_on: "6.12"\n'
_BOMB = "\n".join(
    ["- &a0 [x,x,x,x,x,x,x,x,x,x]", *(f"- &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]
)


def read(path: Path, text: str) -> None:
    path.write_text(text)
    read_build_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "facts: [}\n", r":3:8: not YAML: "),
        (HEAD + f"notes:\n{_BOMB}\n", r":5:8: aliases \(\*a0\) are not allowed"),
        (f'based_on: "6.12"\nnotes:\n{_BOMB}\nversion: *a9\n', r":4:8: aliases \(\*a0\) are not allowed"),
        (HEAD + "notes: !!python/name:os.system\n", r":3:8: tags such as .* are not allowed"),
        (HEAD + "notes:\n", r":3:7: notes: found nothing, expected a list of texts"),
        (HEAD + "notes: [2024-99-99]\n", r":3:9: notes\[0\]: found '2024-99-99', expected a text"),
        (HEAD + "notes: [[x]]\n", r":3:9: notes\[0\]: found a list, expected a text"),
        (HEAD + "note: x\n", r":3:1: note: is no field of a kernel; fields are based_on, build, facts"),
        (HEAD + 'version: "6.1"\n', r":3:1: version: this key is given a second time"),
        ("version: newest\nfacts: []\n", r":1:10: version: found 'newest', expected a version such as 6\.1"),
        ("version: [6.1]\nfacts: []\n", r":1:10: version: found a list, expected a version"),
        ("versions: 6.1\n", r"kernel\.yaml: has no version with facts or based_on"),
        ('version: "6.1"\n', r"kernel\.yaml: has no version with facts or based_on"),
        ("- 1\n", r"kernel\.yaml: has no version with facts or based_on"),
        ("- {version: 1, facts: 2}\n", r":1: is no mapping, expected a kernel's file"),
        (HEAD + "release: 2024-13-45\n", r":3:10: release: found '2024-13-45', expected a release such as 6\.1\.0"),
        (HEAD + 'release: "6.1/../../x"\n', r":3:10: release: found '6\.1/\.\./\.\./x', expected a release"),
        ("version: 6.1\nbased_on: ../6.1\n", r":2:11: based_on: found '\.\./6\.1', expected the name of a kernel"),
        (HEAD + "options: [a]\n", r":3:10: options: found a list, expected one text, the words"),
        (HEAD + "facts: {}\n", r":3:8: facts: found a mapping, expected a list of groups"),
        (HEAD + "facts: [{image: {end: 1}}]\n", r":3:9: facts\[0\]: expected a mapping with a source \(text\)"),
        (HEAD + "facts: [{source: 5, image: {end: 1}}]\n", r":3:9: facts\[0\]: expected a mapping with a source"),
        (HEAD + "facts: [{source: x, images: {}}]\n", r":3:21: facts\[0\]\.images: expected image, struct or config"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / "kernel.yaml", text)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("struct: {pgae: 64}", r"facts\[0\]\.struct\.pgae: there is no such fact of struct \(did you mean page\?\)"),
        ("config: {NODE_SHIFT: 6}", r"\.config\.NODE_SHIFT: there is no such .* \(did you mean NODES_SHIFT\?\)"),
        ("image: {end: big}", r"\.image\.end: found 'big', expected a number from 1 to 0x40000000"),
        ("image: {end: [1]}", r"\.image\.end: found a list, expected a number"),
        ("image: {end: ~}", r"\.image\.end: found nothing, expected a number"),
        ("image: {end: -5}", r"\.image\.end: found '-5', expected a number from 1"),
        ("image: {end: 1.5}", r"\.image\.end: found '1\.5', expected a number"),
        ("image: {end: '4096'}", r"\.image\.end: found '4096', expected a number"),
        ("image: {end: true}", r"\.image\.end: found 'true', expected a number"),
        ("struct: {page: 0100}", r"\.struct\.page: found '0100', expected .* \(a leading 0 would mean octal to some\)"),
        ("struct: {page: 1:04}", r"\.struct\.page: found '1:04', expected a number from 8 to 1024"),
        ("struct: {page: 0x_}", r"\.struct\.page: found '0x_', expected a number"),
        ("struct: {page: 6_4}", r"\.struct\.page: found '6_4', expected a number"),
        ("struct: {page: 65}", r"\.struct\.page: found '65', expected a number from 8 to 1024, a multiple of 8"),
        (f"struct: {{page: {'1' * 5000}}}", r"\.struct\.page: found '1{60}…', expected a number"),
        ("struct: {page: ٦٤}", r"\.struct\.page: found '٦٤', expected a number"),
        ("config: {NODES_SHIFT: 99999999999999}", r"NODES_SHIFT: found '99999999999999', expected a number from 0 to"),
        ("config: {NUMA: 1}", r"\.config\.NUMA: found '1', expected true or false"),
        ("config: {NUMA: 2024-01-01}", r"\.config\.NUMA: found '2024-01-01', expected true or false"),
        (f"config: {{CMDLINE: {'x' * 3000}}}", r"\.config\.CMDLINE: found 'x{60}…', expected text of at most 2048"),
    ],
)
def test_facts_that_no_kernel_has(fact: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    with pytest.raises(InputError, match=message) as error:
        read(path, f"{HEAD}facts:\n- source: x\n  {fact}\n")
    assert str(error.value).startswith(f"{path}:5:")


def test_values_as_they_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    path.write_text(
        "version: 6.10\nfacts:\n- source: 'x'\n  image: {end: 0X1000}\n"
        "  config: {NUMA: yes, SMP: False, CMDLINE: 08, NODES_SHIFT: 6}\n"
    )
    built = read_build_file(path)
    assert built.version == "6.10"
    assert built.facts == {
        "image.end": 4096,
        "config.NUMA": True,
        "config.SMP": False,
        "config.CMDLINE": "08",
        "config.NODES_SHIFT": 6,
    }


@pytest.mark.parametrize("word", ["true", "yes", "on", "True", "YES", "On", "false", "no", "off", "False", "NO", "Off"])
def test_words_for_switches(word: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    path.write_text(f"{HEAD}facts:\n- source: x\n  config: {{NUMA: {word}}}\n")
    assert read_build_file(path).facts == {"config.NUMA": word.lower() in ("true", "yes", "on")}


@pytest.mark.parametrize("text", ["root:*:20228:0:99999:7:::\n", "secret: swordfish\n", "*swordfish\n", "{swordfish\n"])
def test_nothing_is_told_of_what_is_no_kernels_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / "shadow", text)
    assert str(error.value) == (
        f"{tmp_path}/shadow: has no version with facts or based_on, so it is not a kernel's file as memplan kernel "
        "writes it"
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [("fifo", "is a FIFO"), ("folder", "is a directory"), ("/dev/zero", "is a character device")],
)
def test_only_regular_files_are_read(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(kind)
    with pytest.raises(InputError, match=rf"kernel\.yaml: {message}, expected a kernel's file"):
        read_build_file(path)


def test_long_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(InputError, match="is longer than 1 MiB, expected a kernel's file"):
        read_build_file(path)


def test_names_that_no_file_can_have() -> None:
    with pytest.raises(InputError, match="can't be read: embedded null byte"):
        read_build_file("a\0/b")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    path.write_bytes(HEAD.encode() + b"notes: [\xff]\n")
    with pytest.raises(InputError, match=r"kernel\.yaml:3: is not text"):
        read_build_file(path)


@pytest.mark.parametrize(("length", "right"), [(4096, True), (4097, False), (5000, False)])
def test_how_long_a_note_may_be(length: int, right: bool, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    path.write_text(f"{HEAD}notes: [{'x' * length}]\n")
    if right:
        assert read_build_file(path).notes == ("x" * length,)
    else:
        with pytest.raises(InputError, match=r"notes\[0\]: found 'x{60}…', expected a text"):
            read_build_file(path)


def test_many_problems_are_counted(tmp_path: Path) -> None:
    facts = "".join(f"    a{number}: 1\n" for number in range(100))
    with pytest.raises(InputError, match="and 80 more problems of this file") as error:
        read(tmp_path / "kernel.yaml", f"{HEAD}facts:\n- source: x\n  struct:\n{facts}")
    assert len(error.value.problems) == 21


@pytest.mark.parametrize(
    ("field", "most"), [("build", 4096), ("options", 256 * 1024), ("release", 123), ("based_on", 128)]
)
def test_how_long_texts_may_be(field: str, most: int, tmp_path: Path) -> None:
    path = tmp_path / "kernel.yaml"
    for length in (most, most + 1):
        text = ("6.1." + "x" * (length - 4)) if field == "release" else "x" * length
        path.write_text(f"version: '6.1'\nfacts: []\n{field}: {text}\n")
        if length == most:
            assert getattr(read_build_file(path), field) in (text, frozenset([text]))
        else:
            with pytest.raises(InputError, match=rf"kernel\.yaml:3:\d+: {field}: found '.{{60}}…', expected "):
                read_build_file(path)


@pytest.mark.parametrize("length", [60, 61])
def test_sixty_characters_of_a_value_are_shown(length: int, tmp_path: Path) -> None:
    shown = "x" * 60 + ("…" if length > 60 else "")
    with pytest.raises(InputError, match=f"image.end: found '{shown}', expected"):
        read(tmp_path / "kernel.yaml", f"{HEAD}facts: [{{source: x, image: {{end: {'x' * length}}}}}]\n")
    with pytest.raises(InputError, match=r":3:1: x{60}: is no field of a kernel"):
        read(tmp_path / "kernel.yaml", f"{HEAD}{'x' * length}: 1\n")


@pytest.mark.parametrize("count", [20, 21, 25])
def test_up_to_twenty_problems_are_told(count: int, tmp_path: Path) -> None:
    facts = "".join(f"    a{number}: 1\n" for number in range(count))
    with pytest.raises(InputError) as error:
        read(tmp_path / "kernel.yaml", f"{HEAD}facts:\n- source: x\n  struct:\n{facts}")
    told = [(problem.line, problem.message) for problem in error.value.problems]
    wanted = [(6 + number, "there is no such fact of struct") for number in range(min(count, 20))]
    more = [(25, f"and {count - 20} more problems of this file")] if count > 20 else []
    assert told == wanted + more


def test_each_problem_is_told_in_the_order_of_lines(tmp_path: Path) -> None:
    lines = [
        "facts:",
        "- image: {end: 1}",
        "- images: {}",
        "  source: x",
        "  struct:",
        "    pgae: 64",
        "    page: 65",
        "    zone: 64",
        "- 5",
        "- source: y",
        "  config: {NUMA: 7}",
        "notes:",
        "- [x]",
        "- 7",
        "- good",
        "release: none",
    ]
    with pytest.raises(InputError) as error:
        read(tmp_path / "kernel.yaml", HEAD + "\n".join(lines))
    assert [(problem.line, problem.field) for problem in error.value.problems] == [
        (4, "facts[0]"),
        (5, "facts[1].images"),
        (8, "facts[1].struct.pgae"),
        (9, "facts[1].struct.page"),
        (11, "facts[2]"),
        (13, "facts[3].config.NUMA"),
        (15, "notes[0]"),
        (16, "notes[1]"),
        (18, "release"),
    ]


def _right(name: str) -> st.SearchStrategy[FactValue]:
    """Values that the fact may have."""
    if is_text(name):
        return st.text(st.characters(codec="utf-8"), max_size=40)
    span = span_of(name)
    if span is None:
        return st.booleans()
    if span.power_of_two:
        return st.sampled_from([1 << n for n in range(64) if span.has(1 << n)])
    least, most, unit = -(-span.least // span.unit), span.most // span.unit, span.unit
    return st.integers(least, most).map(lambda number: number * unit)


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
_FACTS = st.lists(st.sampled_from(fact_names()), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: _right(name) for name in names})
)
_OPTIONS = st.none() | st.sets(st.from_regex(r"[a-z_][a-z0-9_]{0,130}", fullmatch=True), max_size=12).map(sorted)


@settings(max_examples=150)
@given(_FACTS, _TEXT, st.lists(_TEXT, max_size=3), st.text(max_size=20), _OPTIONS, st.integers(0, 6))
def test_what_was_learned_is_read_back(
    facts: dict[str, FactValue], source: str, notes: list[str], build: str, options: list[str] | None, cut: int
) -> None:
    names = list(facts)
    groups = {source: {name: facts[name] for name in names[:cut]}, "rest": {name: facts[name] for name in names[cut:]}}
    if source == "rest":
        groups = {source: facts}
    build = "".join(filter(str.isascii, build))
    learned = Learned("6.12.3-own", build, "6.12", groups, options, notes)
    with TemporaryDirectory() as folder:
        path = Path(folder, "kernel.yaml")
        path.write_text("\n".join(to_yaml(learned)) + "\n", encoding="utf-8")
        read_back = read_build_file(path)
    assert read_back.facts == facts
    assert {name: type(value) for name, value in read_back.facts.items()} == {n: type(v) for n, v in facts.items()}
    assert read_back.sources == {name: own for own, group in groups.items() for name in group}
    assert read_back[:4] == ("6.12", "6.12.3-own", build, "")
    assert read_back.notes == tuple(notes)
    assert read_back.options == (None if options is None else frozenset(options))


_LINES = st.sampled_from(
    ["version: '6.12'", "based_on: '6.12'", "facts:", "- source: x", "  struct:", "    page: 64", "  config: {NUMA: y}"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_LINES | st.text(max_size=20), max_size=12))
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    with TemporaryDirectory() as folder, suppress(InputError):
        path = Path(folder, "kernel.yaml")
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
        assert read_build_file(path).version
