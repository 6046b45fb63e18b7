"""CPUs: how options limit those of a machine, by what real kernels made of machines that had more or fewer."""

from pathlib import Path

import pytest

import memplan
from memplan.firmware.combine import import_files
from memplan.verification import compare
from tests.boot import real


@pytest.mark.parametrize(
    ("name", "cpus"),
    [
        pytest.param("nolapic-6.12", 4, id="nolapic leaves one of four"),
        pytest.param("nr-cpus-6.12", 6, id="nr_cpus=3 leaves three of six"),
        pytest.param("possible-cpus-6.1", 2, id="possible_cpus=100 makes room for more than two, nr_cpus=90 for 90"),
    ],
)
def test_options_limit_the_cpus_of_a_machine(name: str, cpus: int, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("\n".join(real.lines(name)) + "\n")
    machine = import_files([log])[0]
    whole = machine._replace(cpus=machine.cpus._replace(possible=cpus, present=cpus))
    assert compare(enumerate(real.lines(name), 1), memplan.simulate(whole)).same
