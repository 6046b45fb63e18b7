"""The page in a real browser: it is used by slider, keys, wheel and links, and never complains."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

import memplan
from tests.report.browser import Reader, needs_browser, started

pytest.importorskip("axe_core_python", reason="axe-core is needed: pip install --editable '.[dev]'")
from axe_core_python.selenium import Axe
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.print_page_options import PrintOptions

from tests.report.pages import HOSTILE, example, filmed, log_in, made, page, path_of

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Reader]:
    with started() as driver:
        yield Reader(driver)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name in ("blocked-by-acpi", "hotplug-nodes"):
        (folder / f"{name}.html").write_text(page(example(name)), encoding="utf-8")
    machine = example("blocked-by-acpi").machine
    hostile = machine._replace(name=HOSTILE, cmdline=f"{machine.cmdline} x={HOSTILE}")
    (folder / "hostile.html").write_text(page(filmed(hostile)), encoding="utf-8")
    two = made(folder, path_of("hotplug-nodes"), "--top-down", "--bottom-up")
    (folder / "two-plans.html").write_text(two, encoding="utf-8")
    (folder / "boot-log.html").write_text(made(folder, log_in(folder, "f05-mtrr-hole")), encoding="utf-8")
    hostile_file = folder / "hostile.yaml"
    hostile_file.write_text(memplan.dump_machine(hostile), encoding="utf-8")
    two = made(folder, str(hostile_file), "--append", f"y={HOSTILE}")
    (folder / "hostile-two.html").write_text(two, encoding="utf-8")
    return folder


@pytest.fixture
def reader(browser: Reader) -> Iterator[Reader]:
    """The browser; whatever a test does in it, it must have nothing to complain of."""
    browser.complaints()
    yield browser
    assert browser.complaints() == []


def press(reader: Reader, *keys: str) -> None:
    ActionChains(reader.driver).send_keys(*keys).perform()


def scale(reader: Reader) -> str:
    return reader.text("#map .scale")


def test_the_slider_shows_each_step(reader: Reader, pages: Path) -> None:
    reader.open(pages / "hotplug-nodes.html")
    frames = example("hotplug-nodes").frames
    slider = reader.one("#player input[type=range]")
    slider.send_keys(Keys.HOME)
    assert frames[0].step in reader.text("#player .where")
    for frame in frames[1:4]:
        slider.send_keys(Keys.ARROW_RIGHT)
        assert frame.step in reader.text("#player .where")
        assert reader.text(".step h3").startswith(frame.step)
        way = "upwards" if frame.bottom_up else "downwards"
        assert way in reader.text("#player .direction")


def test_arrays_after_a_step_are_the_boots(reader: Reader, pages: Path) -> None:
    reader.open(pages / "hotplug-nodes.html", "#step=initmem_init")
    shown = example("hotplug-nodes")
    frames = [frame for frame in shown.frames if frame.step == "initmem_init"]
    memory = reserved = 0
    for frame in shown.frames[: shown.frames.index(frames[0]) + 1]:
        memory += len(frame.memory.come) - len(frame.memory.gone)
        reserved += len(frame.reserved.come) - len(frame.reserved.gone)
    titles = [title.text for title in reader.all(".step summary")]
    assert any(f"memblock.memory after it: {memory} region" in title for title in titles)
    assert any(f"memblock.reserved after it: {reserved} region" in title for title in titles)


def test_play_moves_and_pause_stops(reader: Reader, pages: Path) -> None:
    reader.open(pages / "hotplug-nodes.html")
    reader.one("#player button[aria-label=Play]").click()
    first = reader.text("#player .where")
    reader.until(lambda: reader.text("#player .where") != first)
    reader.one("#player button[aria-label=Pause]").click()
    assert reader.all("#player button[aria-label=Play]")


def test_a_link_leads_to_a_moment_and_a_place(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html", "#step=initmem_init&at=0x7ffd5000")
    assert "initmem_init" in reader.text("#player .where")
    assert reader.text("#details h3") == "NODE_DATA(0)"
    assert "[mem 0x00007ffd5000-0x00007fffffff]" in reader.text("#details")
    reader.one(".holders a").click()
    reader.until(lambda: reader.text("#details h3") == "initrd")
    assert "#step=early_reserve_initrd&at=0xbffdf000" in reader.driver.current_url


def test_the_search_of_an_allocation_is_told(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html", "#step=initmem_init&at=0x7ffd5000")
    assert "wrong node" in reader.text("#details")
    assert "taken, at 0x7ffd5000" in reader.text("#details")


def test_wheel_and_buttons_zoom_down_to_a_page(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    whole = scale(reader)
    picture = reader.one("#map svg.picture")
    reader.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", picture)
    reader.run("return new Promise((done) => setTimeout(done, 500))")
    ActionChains(reader.driver).scroll_from_origin(ScrollOrigin.from_element(picture), 0, -500).perform()
    reader.until(lambda: scale(reader) != whole)
    zoom_in = reader.one("button[aria-label='Zoom in']")
    for _ in range(30):
        zoom_in.click()
    reader.until(lambda: ": 4 KiB," in scale(reader))
    reader.one("button[aria-label='Show all memory']").click()
    reader.until(lambda: scale(reader) == whole)


def test_keys_go_from_piece_to_piece_and_zoom(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    entry = reader.all("#map .picture [tabindex='0']")
    assert len(entry) == 1
    reader.run("arguments[0].focus()", entry[0])
    names = set()
    for _ in range(4):
        names.add(reader.run("return document.activeElement.getAttribute('aria-label')"))
        press(reader, Keys.ARROW_RIGHT)
    assert len(names) == 4
    whole = scale(reader)
    press(reader, Keys.ENTER)
    reader.until(lambda: scale(reader) != whole)
    press(reader, "0")
    reader.until(lambda: scale(reader) == whole)
    assert reader.run("return document.activeElement.closest('.picture') !== null")


def test_tables_filter_and_sort(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    table = "#plan1-reserved-0"
    every = len(reader.all(f"{table} tbody tr"))
    reader.one(f"{table} input").send_keys("percpu unit")
    rows = [row.text for row in reader.all(f"{table} tbody tr")]
    assert 0 < len(rows) < every
    assert all("percpu unit" in row for row in rows)
    reader.one(f"{table} input").clear()
    reader.one(f"{table} input").send_keys(" ")
    reader.until(lambda: len(reader.all(f"{table} tbody tr")) == every)
    size = f"{table} th:nth-child(3)"
    reader.one(f"{size} button").click()
    assert reader.one(size).get_attribute("aria-sort") == "ascending"
    reader.one(f"{size} button").click()
    assert reader.text(f"{table} tbody tr td:nth-child(3)") == "64M"


def test_moved_ranges_are_joined_as_soon_as_both_plans_have_them(reader: Reader, pages: Path) -> None:
    reader.open(pages / "two-plans.html")
    lanes = len(reader.all("#map .lane"))
    assert len(reader.all("#map .strip")) == 2 * lanes
    joined = reader.all("#map .joins path")
    assert joined
    titles = {reader.run("return arguments[0].textContent", path) for path in joined}
    assert "memory map (node 3)" in titles
    reader.one("#player input[type=range]").send_keys(Keys.HOME)
    reader.until(lambda: not reader.all("#map .joins path"))
    assert len(reader.all("#player .direction span.up")) + len(reader.all("#player .direction span.down")) == 2


def test_a_step_of_both_plans_tells_what_each_did(reader: Reader, pages: Path) -> None:
    reader.open(pages / "two-plans.html", "#step=init_mem_mapping")
    assert [head.text.split(" ")[0] for head in reader.all(".step h3")] == ["top-down:", "bottom-up:"]
    assert "upwards" in reader.text("#player .direction")
    assert "downwards" in reader.text("#player .direction")


def test_a_log_beside_its_plan_can_be_filtered(reader: Reader, pages: Path) -> None:
    reader.open(pages / "boot-log.html")
    assert reader.text("#lead h2").startswith("13 of 13 facts")
    reader.one("#lead-1 input").send_keys("node range")
    assert all("node range" in row.text.replace("\n", " ") for row in reader.all("#lead-1 tbody tr"))


@pytest.mark.parametrize("name", ["hostile", "hostile-two"])
def test_hostile_names_are_only_text(reader: Reader, pages: Path, name: str) -> None:
    reader.open(pages / f"{name}.html")
    assert reader.text("h1") == HOSTILE
    assert HOSTILE in reader.driver.title
    assert not reader.all("main script")


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("blocked-by-acpi", ""),
        ("blocked-by-acpi", "#step=initmem_init&at=0x7ffd5000"),
        ("hostile-two", "#step=initmem_init"),
        ("boot-log", ""),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(reader: Reader, pages: Path, scheme: str, name: str, fragment: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    reader.open(pages / f"{name}.html", fragment)
    found = [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in Axe().run(reader.driver)["violations"]
    ]
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == []


def test_prints_with_the_map(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    printed = base64.b64decode(reader.driver.print_page(PrintOptions()))
    assert printed.startswith(b"%PDF-")
    assert len(printed) > 20_000


@pytest.mark.parametrize("name", ["blocked-by-acpi", "hotplug-nodes", "two-plans", "boot-log"])
def test_nothing_is_wider_than_a_phone(pages: Path, name: str) -> None:
    with started(width=380) as driver:
        reader = Reader(driver)
        reader.open(pages / f"{name}.html")
        assert reader.run("return document.documentElement.scrollWidth") <= 380
        assert reader.complaints() == []


def test_summary_and_tables_are_there_without_script(pages: Path) -> None:
    with started(script=False) as driver:
        driver.get((pages / "blocked-by-acpi.html").as_uri())
        text = driver.find_element("tag name", "main").text
        assert "Nothing of 4 GiB can be removed" in text
        assert "0x0000bffdf000" in text
