"""The formats: each holds all findings, and is what its readers take."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from memplan.checks.model import Finding
from memplan.checks.report import Report, Tally
from memplan.errors import Problem
from memplan.machine.places import Place
from memplan.render import check_github, check_gitlab, check_json, check_junit, check_sarif, check_text
from memplan.render.check_json import check_schema
from tests.checks.stubs import RULES

SARIF_SCHEMA = Path(__file__).parent / "data" / "sarif-schema-2.1.0.json.xz"

EXCERPT = ("    3 | {base: 0}", "      | ^~~~~~~~~")
ZERO = Finding(
    "MP201",
    "error",
    'a range of "no" length & <more>',
    Place("a b/m.yaml", 3, 5, "srat.memory[0]"),
    "srat.memory[0]",
    "SRAT: 100% nothing,\x07 here",
    EXCERPT,
    weight=7,
)
QUIET = Finding("MP701", "warning", "quiet: so\nquiet", Place("a b/m.yaml", 1), "quiet", note="it expired")
TABLE = Finding("MP101", "info", "a table", Place("/fw/SRAT.aml", field="SRAT", offset=0x30), "SRAT")
WHOLE = Finding("MP702", "info", "about all", Place("/fw/SRAT.aml"), "all")
BROKEN = Problem("c.yaml", "not YAML: it's <odd>", line=2, column=4, hint="mend it")
REPORTS = (
    Report("a b/m.yaml", "6.12", "error", (QUIET, ZERO), ("MP201", "MP701", "MP702"), {"no tables": ("MP101",)}),
    Report("/fw/SRAT.aml", "6.12", "error", (WHOLE, TABLE), ("MP101", "MP702"), {"no map": ("MP701",)}, suppressed=2),
    Report("c.yaml", problems=(BROKEN,)),
    Report("d.yaml", "6.1", "warning", ran=("MP201",), left_out={"no map": ("MP701",)}, known=3),
)


def watched(reports: Iterable[Report]) -> tuple[Iterable[Report], Tally]:
    tally = Tally()
    return tally.watch(reports), tally


def test_text() -> None:
    assert list(check_text.check_lines(*watched(REPORTS), RULES, verbose=True)) == [
        "a b/m.yaml:1: warning: quiet: so quiet [MP701 quiet-boot]",
        "  mend: Do otherwise.",
        "  note: it expired",
        f"  fingerprint: {QUIET.fingerprint}",
        "",
        'a b/m.yaml:3:5: error: a range of "no" length & <more> [MP201 empty-ranges]',
        "      3 | {base: 0}",
        "        | ^~~~~~~~~",
        "  Linux 6.12 prints: SRAT: 100% nothing,\\u0007 here",
        "  mend: Do otherwise.",
        f"  fingerprint: {ZERO.fingerprint}",
        "",
        "/fw/SRAT.aml: info: about all [MP702 broken]",
        "  mend: Do otherwise.",
        f"  fingerprint: {WHOLE.fingerprint}",
        "",
        "/fw/SRAT.aml: byte 0x30: info: a table [MP101 every-table]",
        "  mend: Do otherwise.",
        f"  fingerprint: {TABLE.fingerprint}",
        "",
        "1 error, 1 warning, 2 info in 4 inputs, of which 1 could not be checked, or not whole, 2 suppressed, "
        "3 in the baseline already",
        "left out in a b/m.yaml: MP101 (no tables)",
        "left out in 2 inputs (/fw/SRAT.aml is the first): MP701 (no map)",
    ]
    assert list(check_text.check_lines(*watched([Report("a", ran=("MP201",))]), RULES)) == ["nothing found in 1 input"]


@pytest.mark.parametrize("reports", [REPORTS, REPORTS[2:], ()])
def test_json_follows_its_schema(reports: tuple[Report, ...]) -> None:
    document = json.loads("\n".join(check_json.check_lines(*watched(reports))))
    schema = check_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    assert [own["fingerprint"] for own in document["findings"]] == [
        own.fingerprint for report in reports for own in report.findings
    ]
    assert document["inputs"] == len(reports)


def test_json() -> None:
    document = json.loads("\n".join(check_json.check_lines(*watched(REPORTS))))
    assert next(iter(document)) == "findings"
    finding = document["findings"][1]
    assert [finding[key] for key in ("rule", "severity", "message", "file", "line")] == [
        "MP201",
        "error",
        'a range of "no" length & <more>',
        "a b/m.yaml",
        3,
    ]
    assert (finding["column"], finding["offset"], finding["weight"], finding["fails"]) == (5, None, 7, True)
    assert [own["fails"] for own in document["findings"]] == [False, True, False, False]
    assert (document["findings"][3]["line"], document["findings"][3]["offset"]) == (None, 0x30)
    assert document["counts"] == {"error": 1, "warning": 1, "info": 2}
    assert (document["failed"], document["suppressed"], document["known"]) == (True, 2, 3)
    assert document["problems"][0] == {
        "message": "not YAML: it's <odd>",
        "file": "c.yaml",
        "line": 2,
        "column": 4,
        "field": "",
        "hint": "mend it",
    }
    assert document["left_out"][1] == {"rules": ["MP701"], "why": "no map", "inputs": 2, "first": "/fw/SRAT.aml"}


def sarif(reports: Iterable[Report]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads("\n".join(check_sarif.check_lines(*watched(reports), RULES)))
    return document


@pytest.mark.parametrize("reports", [REPORTS, REPORTS[3:], ()])
def test_sarif_follows_the_official_schema(reports: tuple[Report, ...]) -> None:
    schema = json.loads(lzma.decompress(SARIF_SCHEMA.read_bytes()))
    validator = jsonschema.Draft4Validator(schema)
    validator.validate(sarif(reports))
    broken = sarif(reports)
    broken["runs"][0]["results"].append({"ruleId": "MP201"})
    assert not validator.is_valid(broken)


def test_sarif() -> None:
    (run,) = sarif(REPORTS)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    assert rules[1]["name"] == "EmptyRanges"
    assert rules[1]["properties"] == {"tags": ["made up"], "fwts": "SRATMadeUp"}
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == ["MP701", "MP201", "MP702", "MP101"]
    assert [result["level"] for result in run["results"]] == ["warning", "error", "note", "note"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places[1::2]] == ["a%20b/m.yaml", "file:///fw/SRAT.aml"]
    assert [place.get("region") for place in places] == [
        {"startLine": 1},
        {"startLine": 3, "startColumn": 5},
        None,
        {"byteOffset": 0x30, "byteLength": 1},
    ]
    assert run["results"][1]["partialFingerprints"] == {"memplan/v1": ZERO.fingerprint}
    (invocation,) = run["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    assert "c.yaml:2:4: not YAML" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_junit() -> None:
    root = ElementTree.fromstring("\n".join(check_junit.check_lines(REPORTS, RULES)))
    assert root.tag == "testsuites"
    numbers = [[suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")] for suite in root]
    assert numbers == [
        ["a b/m.yaml", "4", "1", "0", "1"],
        ["/fw/SRAT.aml", "3", "0", "0", "1"],
        ["c.yaml", "1", "0", "1", "0"],
        ["d.yaml", "2", "0", "0", "1"],
    ]
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))
    failure = root.find("testsuite/testcase[@name='MP201 empty-ranges']/failure")
    assert failure is not None
    assert failure.get("message") == 'a b/m.yaml:3:5: a range of "no" length & <more>'
    assert "Linux 6.12 prints: SRAT: 100% nothing,\\u0007 here" in (failure.text or "")
    milder = root.findtext("testsuite/testcase[@name='MP701 quiet-boot']/system-out")
    assert milder is not None
    assert milder.startswith("a b/m.yaml:1: warning: quiet: so quiet [MP701")
    skipped = root.find("testsuite/testcase[@name='MP101 every-table']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "no tables"
    error = root.find("testsuite/testcase[@name='input']/error")
    assert error is not None
    assert error.text == "c.yaml:2:4: not YAML: it's <odd> (mend it)"


def test_github() -> None:
    assert list(check_github.check_lines(REPORTS, RULES)) == [
        "::warning file=a b/m.yaml,line=1,title=MP701 quiet-boot::"
        "quiet: so%0Aquiet%0Amend: Do otherwise.%0Anote: it expired",
        '::error file=a b/m.yaml,line=3,col=5,title=MP201 empty-ranges::a range of "no" length & <more>%0A'
        "Linux 6.12 prints: SRAT: 100%25 nothing,\x07 here%0Amend: Do otherwise.",
        "::notice file=/fw/SRAT.aml,title=MP702 broken::about all%0Amend: Do otherwise.",
        "::notice file=/fw/SRAT.aml,title=MP101 every-table::byte 0x30: a table%0Amend: Do otherwise.",
        "::error file=c.yaml,line=2,col=4,title=memplan::c.yaml:2:4: not YAML: it's <odd> (mend it)",
    ]
    odd = Report("x,y:z", findings=(Finding("MP702", "error", "m", Place("x,y:z%"), "s"),))
    assert list(check_github.check_lines([odd], RULES)) == [
        "::error file=x%2Cy%3Az%25,title=MP702 broken::m%0Amend: Do otherwise."
    ]


def test_text_without_what_few_people_ask_for() -> None:
    lines = list(check_text.check_lines(*watched(REPORTS), RULES))
    told = list(check_text.check_lines(*watched(REPORTS), RULES, verbose=True))
    assert [line for line in told if not line.startswith(("  fingerprint:", "left out"))] == lines
    quiet = list(check_text.check_lines(*watched(REPORTS), RULES, quiet=True))
    assert quiet == lines[:-1]


def test_gitlab() -> None:
    issues = json.loads("\n".join(check_gitlab.check_lines(REPORTS, RULES)))
    assert len(issues) == sum(len(report.findings) + len(report.problems) for report in REPORTS)
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert issue["location"]["lines"]["begin"] >= 1
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert [issue["check_name"] for issue in issues if issue["severity"] == "blocker"] == ["memplan"]
    assert json.loads("\n".join(check_gitlab.check_lines([], RULES))) == []
