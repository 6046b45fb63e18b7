"""Kernels that are kept in the user's cache folder: the same as those worked out anew, and never another's."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memplan.kernel import kept
from memplan.kernel.builds import kernel_of_name
from memplan.kernel.distributions import distribution_names
from memplan.kernel.shipped import kernel_names

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel

KERNEL = kernel_of_name("lab-5.10.89")


class Maker:
    """Makes a kernel, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, name: str) -> Kernel:
        self.calls += 1
        return kernel_of_name(name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and files of memplan that are older than this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "_BEGUN", 1 << 63)
    return tmp_path / "cache"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "one.yaml").write_text("a: 1\n")
    return folder


def asked(configs: Path, name: str = "lab-5.10.89") -> bool:
    """Whether the kernel had to be made, which must come out the same in any case."""
    maker = Maker()
    found, wanted = kept.kept(name, str(configs), maker), kernel_of_name(name)
    assert found == wanted
    # Tuples are equal whatever their classes; sets have no order to compare.
    assert repr(found._replace(options=None, borrowed=frozenset())) == repr(
        wanted._replace(options=None, borrowed=frozenset())
    )
    return maker.calls == 1


def file(cache: Path) -> Path:
    (found,) = cache.rglob("*.kernel")
    return found


@pytest.mark.parametrize("name", [*kernel_names(), *distribution_names(), "4.4", "6.12", "7.1", "5.15.0-91-generic"])
def test_a_kept_kernel_is_the_one_that_was_made(name: str, cache: Path, configs: Path) -> None:
    assert asked(configs, name)
    assert not asked(configs, name)
    assert file(cache).stat().st_mode & 0o777 == 0o600
    assert file(cache).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", ["a: 2\n", "a: 11\n", None], ids=["same size", "another size", "another file"])
def test_it_is_made_anew_after_a_change(change: str | None, cache: Path, configs: Path) -> None:
    assert asked(configs)
    (configs / ("one.yaml" if change else "two.yaml")).write_text(change or "")
    assert asked(configs)
    assert not asked(configs)


def test_what_changes_while_memplan_runs_is_not_kept(
    cache: Path, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_BEGUN", os.stat(configs / "one.yaml").st_mtime_ns)
    assert asked(configs)
    assert not cache.exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_made_good(data: st.DataObject, cache: Path, configs: Path) -> None:
    asked(configs)
    whole = file(cache).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytes([whole[at] ^ 0x55]) + whole[at + 1 :] if data.draw(st.booleans()) else b""
    file(cache).write_bytes(whole[:at] + damaged)
    assert asked(configs)
    assert file(cache).read_bytes() == whole


@pytest.mark.parametrize("content", ["number", "three", "cut", "none", "no marshal"])
def test_what_is_whole_but_something_else_is_made_good(content: str, cache: Path, configs: Path) -> None:
    """As another version of memplan, or of Python, may have left it."""
    assert asked(configs)
    data = {
        "number": marshal.dumps(5),
        "three": marshal.dumps((1, 2, 3)),
        "cut": marshal.dumps((1, "text"))[:-2],
        "none": b"",
        "no marshal": b"\xff\xfe",
    }[content]
    file(cache).write_bytes(crc32(data).to_bytes(4, "little") + data)
    assert asked(configs)
    assert not asked(configs)


def test_what_others_may_write_is_not_read(cache: Path, configs: Path) -> None:
    assert asked(configs)
    file(cache).chmod(0o620)
    assert asked(configs)
    file(cache).parent.chmod(0o770)
    assert asked(configs)
    assert asked(configs)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_is_anothers_is_not_read(cache: Path, configs: Path) -> None:
    assert asked(configs)
    os.chown(file(cache), 1, -1)
    assert asked(configs)
    assert not asked(configs)
    os.chown(file(cache).parent, 1, -1)
    assert asked(configs)
    assert asked(configs)


def test_a_link_or_a_fifo_is_not_read(cache: Path, configs: Path, tmp_path: Path) -> None:
    assert asked(configs)
    own = file(cache)
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    assert asked(configs)
    own.unlink()
    os.mkfifo(own)
    assert asked(configs)


def test_there_may_be_no_place_to_keep_it(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_BEGUN", 1 << 63)
    monkeypatch.setenv("XDG_CACHE_HOME", str(configs / "one.yaml"))
    assert asked(configs)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "relative, too")
    assert asked(configs)


def test_no_more_are_kept_than_a_folder_should_hold(
    cache: Path, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_MOST_KERNELS", 1)
    assert asked(configs)
    assert asked(configs, "6.12")
    assert asked(configs, "6.12")
    assert not asked(configs)


@pytest.mark.parametrize("others", [199, 200])
def test_a_folder_holds_two_hundred(others: int, cache: Path, configs: Path) -> None:
    assert asked(configs)
    own = file(cache)
    own.unlink()
    for number in range(others):
        (own.parent / f"{number}.kernel").touch()
    assert asked(configs)
    assert asked(configs) is (others == 200)


@pytest.mark.parametrize("more", [0, 1])
def test_files_of_up_to_a_mebibyte_are_read(more: int, cache: Path, configs: Path) -> None:
    made = []

    def make(_: str) -> Kernel:
        made.append(KERNEL._replace(notes=("x" * length,)))
        return made[-1]

    length = 1000
    kept.kept("own", str(configs), make)
    length += (1 << 20) - file(cache).stat().st_size + more
    file(cache).unlink()
    kept.kept("own", str(configs), make)
    assert file(cache).stat().st_size == (1 << 20) + more
    kept.kept("own", str(configs), make)
    assert len(made) == 2 + more


@pytest.mark.parametrize(
    ("path", "counts"), [("two.yaml", True), ("sub/two.yaml", True), ("sub.d/two.yaml", False), ("two.yml", False)]
)
def test_files_that_have_a_say(path: str, counts: bool, cache: Path, configs: Path) -> None:
    assert asked(configs)
    (configs / path).parent.mkdir(exist_ok=True)
    (configs / path).touch()
    assert asked(configs) is counts


def test_what_lies_in_the_way_is_not_written_through(cache: Path, configs: Path, tmp_path: Path) -> None:
    """A file that another process of the same number left, or put there."""
    assert asked(configs)
    own = file(cache)
    own.unlink()
    other = tmp_path / "other"
    other.write_text("other")
    own.with_name(f"{own.name}.{os.getpid()}").symlink_to(other)
    assert asked(configs)
    assert other.read_text() == "other"
    assert asked(configs)
    assert not asked(configs)


@pytest.mark.parametrize("name", ["a" * 300, "nul\0", "\udcff", "..", "."])
def test_any_name_may_be_asked_for(name: str, cache: Path, configs: Path) -> None:
    assert kept.kept(name, str(configs), lambda _: KERNEL) == KERNEL


def test_a_change_of_code_that_makes_kernels_is_noticed() -> None:
    """All that a process imports to make a kernel is stamped."""
    code = "import sys; from memplan.kernel.builds import kernel_of_name; kernel_of_name('6.12'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[2] for name in done.stdout.split() if name.startswith("memplan.")}
    assert {name.partition(".")[0] for name in modules} == {name.partition(".")[0] for name in kept.MAKERS}
