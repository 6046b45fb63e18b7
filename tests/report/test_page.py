"""The page without a browser: what it holds, what may run in it, and that nothing of the input does."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

import memplan
from memplan.machine.dump import dump_machine
from memplan.render.plan_json import plan_document
from memplan.report.schema import page_schema
from tests.report.pages import (
    EXAMPLES,
    HOSTILE,
    MODULES,
    document,
    example,
    filmed,
    made,
    page,
    path_of,
    script_text,
)

NAMES = [path.stem for path in EXAMPLES]


class Elements(HTMLParser):
    """What a browser would see: elements with their attributes, scripts with their texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.attributes |= set(given)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self._within = tag if tag in self.texts and "type" not in given else ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.texts[self._within].append(data)
            self._within = ""


@pytest.mark.parametrize("name", NAMES)
def test_a_page_holds_plan_description_and_film(name: str) -> None:
    shown = example(name)
    text = page(shown)
    assert len(text) < 300_000
    assert document(text, "plan-1") == plan_document(shown.plan)
    assert document(text, "description-1") == dump_machine(shown.machine)
    jsonschema.validate(document(text, "film"), page_schema(), cls=jsonschema.Draft202012Validator)


def test_a_description_that_names_its_kernel_is_no_log(tmp_path: Path) -> None:
    text = made(tmp_path, path_of("blocked-by-acpi"))
    assert document(text, "plan-1") == plan_document(example("blocked-by-acpi").plan)
    assert 'id="lead"' not in text


def test_only_what_the_policy_names_by_its_hash_can_run() -> None:
    text = page(example("blocked-by-acpi"))
    seen = Elements(text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "unsafe" not in policy[1]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        assert len(seen.texts[tag]) == 1
        digest = base64.b64encode(hashlib.sha256(seen.texts[tag][0].encode()).digest()).decode()
        assert f"{directive} &#39;sha256-{digest}&#39;" in policy[1]
    assert not any(name.startswith("on") or name == "style" for name in seen.attributes)
    assert "http://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", text)
    assert "https://" not in text


def test_ids_are_unique() -> None:
    ids = Elements(page(example("hotplug-nodes"))).ids
    assert sorted(set(ids)) == sorted(ids)


def test_input_is_only_text() -> None:
    machine = example("blocked-by-acpi").machine
    hostile = machine._replace(name=HOSTILE, cmdline=f"{machine.cmdline} x={HOSTILE}")
    text = page(filmed(hostile))
    seen = Elements(text)
    assert seen.texts["script"] == Elements(page(filmed(machine))).texts["script"]
    assert "<script>alert" not in text
    assert document(text, "plan-1")["machine"] == HOSTILE


def test_the_same_plan_gives_the_same_bytes() -> None:
    machine = example("blocked-by-acpi").machine
    assert page(filmed(machine)) == page(filmed(machine))


def test_summary_and_tables_stand_without_a_script() -> None:
    text = page(example("blocked-by-acpi"))
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    for words in ("Nothing of 4 GiB can be removed", "0x0000bffdf000", "let the boot loader put the initrd", "node 1"):
        assert words in body


def test_what_one_remedy_frees_stands_together() -> None:
    text = page(example("blocked-by-acpi"))
    found = re.search(r'<ul class="holders">(.*?)</ul>', text, re.DOTALL)
    assert found is not None
    told = found[1].split("<li>")[1:]
    assert ["would free it: let the boot loader" in told[0], "would free it: let firmware put" in told[1]] == [True] * 2
    assert len(told) == 2
    tables = [name for name in ("FACS", "DSDT", "FACP", "APIC", "HPET", "WAET") if f">ACPI {name}</a>" in told[1]]
    assert len(tables) == 6
    assert told[1].count("since acpi_boot_table_init") == 1


def test_modules_import_only_what_stands_before_them() -> None:
    text = script_text()
    for at, name in enumerate(MODULES):
        begin = text.index(f'modules["{name}"] = ')
        assert all(text.index(f'modules["{other}"] = ') < begin for other in MODULES[:at])
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)


def test_addresses_that_a_script_would_round_keep_their_text() -> None:
    machine = example("blocked-by-acpi").machine
    document_of = document(page(filmed(machine.replace({"acpi.tables[0].address": (1 << 60) + 1}))), "film")
    texts = [part for frame in document_of["plans"][0]["frames"] for part in frame["reserved"][1]]
    assert hex((1 << 60) + 1) in texts


def test_a_page_is_read_back_in_place_of_its_description(tmp_path_factory: pytest.TempPathFactory) -> None:
    shown = example("hotplug-nodes")
    path = tmp_path_factory.mktemp("page") / "plan.html"
    path.write_text(page(shown))
    assert plan_document(memplan.simulate(memplan.load_machine(path))) == plan_document(shown.plan)
