"""What `memplan limits` tells is what is there: counts are those of the data, and the README's numbers are these."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from memplan.boot.registry import registered
from memplan.coverage import coverage
from memplan.kernel.resolve import all_rules
from memplan.kernel.version import KernelVersion
from memplan.render.limits import limits_lines
from memplan.render.limits_json import limits_document, limits_schema
from tests import oracle_replay
from tests.boot import real
from tests.hotadd import recorded
from tests.reports.test_reports import EQUAL

ROOT = Path(__file__).parent.parent
README = " ".join((ROOT / "README.md").read_text().split())


def test_boots_reports_and_runs_are_those_of_the_tests() -> None:
    verified = coverage().verified
    versions = (KernelVersion.parse(name.rpartition("-")[2]) for name in real.NAMES)
    assert verified.boots == Counter(str(version.release) for version in versions)
    assert verified.reports == len(EQUAL)
    assert verified.hotadd_runs == len(recorded.NAMES)


def test_traces_and_their_operations_are_those_of_the_tests() -> None:
    traces: Counter[str] = Counter()
    operations = 0
    for archive in sorted((ROOT / "tests" / "golden" / "memblock").glob("*.tar.xz")):
        for _, lines in oracle_replay.traces(archive):
            assert lines is not None
            header = json.loads(next(iter(lines)))
            traces[".".join(header["source"].split(".")[:2])] += 1
            operations += header["ops"]
    assert (traces, operations) == (Counter(coverage().verified.traces), coverage().verified.operations)


def test_versions_that_booted_or_were_traced_are_those_of_the_timeline() -> None:
    versions = all_rules().versions
    verified = coverage().verified
    assert {str(version.release) for version in versions.booted} == set(verified.boots)
    assert {str(version.release) for version in versions.traced} == set(verified.traces)


def test_every_step_of_a_version_is_listed() -> None:
    listed = [name for names in coverage().steps.values() for name in names]
    assert len(listed) == len(set(listed))
    assert {step.name for step in all_rules().steps} == set(listed) <= set(registered())


def test_the_readme_gives_the_same_numbers() -> None:
    verified = coverage().verified
    assert f"{verified.operations:,} operations" in README
    assert f"held against {verified.hotadd_runs} runs" in README
    assert f"{sum(verified.boots.values())} boots" in README
    booted = ", ".join(verified.boots)
    assert f"| {booted} | real boots" in README
    table = re.findall(r"\| \d+ of \d+ \|", README)
    assert len(table) == verified.reports


def test_the_readme_lists_what_is_not_modelled() -> None:
    listed = README.partition("What no plan models: ")[2].partition(". ")[0]
    assert listed.split("; ") == [limit.name for limit in coverage().limits]


def test_text_and_json_tell_the_same() -> None:
    text = " ".join(" ".join(limits_lines(coverage())).split())
    document = limits_document(coverage())
    jsonschema.validate(document, limits_schema())
    assert json.loads(json.dumps(document)) == document
    for limit in document["not_modelled"]:
        assert f"{limit['name']}" in text
        assert limit["what"] in text
    for count in (document["verified"]["reports"], document["verified"]["hotadd_runs"]):
        assert re.search(rf"\b{count}\b", text)
    assert all(name in text for group in document["modelled"]["steps"] for name in group["names"])


def test_what_no_plan_can_tell_is_told_there() -> None:
    assert coverage().unseen
    assert all(
        " ".join(text.split()) in " ".join(" ".join(limits_lines(coverage())).split()) for text in coverage().unseen
    )


@pytest.mark.parametrize("case", [case for limit in coverage().limits for case in limit.cases], ids=str)
def test_a_case_asks_for_one_thing(case: object) -> None:
    asked = [getattr(case, key) for key in ("options", "table", "machine")]
    assert sum(map(bool, asked)) <= 1
