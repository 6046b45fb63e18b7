"""A boot that is said to die does: real kernels' last words are those that the finding quotes.

``boots/died-NAME-VERSION.log.xz`` is what the kernel printed until its panic.
"""

import lzma
from pathlib import Path

import pytest

from memplan.checks.run import Options, check_input

BOOTS = Path(__file__).parent / "boots"


@pytest.mark.parametrize(
    ("name", "line", "where"),
    [
        ("map-too-small-6.12", "alloc_low_pages: can not alloc memory", "init_mem_mapping"),
        ("uncovered-half-6.12", "BUG: kernel NULL pointer dereference", "free_area_init"),
    ],
)
def test_the_kernel_died_as_the_finding_says(name: str, line: str, where: str, tmp_path: Path) -> None:
    text = lzma.decompress((BOOTS / f"died-{name}.log.xz").read_bytes()).decode()
    log = tmp_path / "boot.log"
    log.write_text(text)
    (finding,) = (finding for finding in check_input(str(log), Options()).findings if finding.rule == "MP403")
    assert finding.dmesg == line
    assert line in text
    assert "Kernel panic - not syncing" in text
    assert where in finding.message
