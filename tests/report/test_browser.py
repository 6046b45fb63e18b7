"""The page in a real browser: it is used by slider, keys, wheel and links, and never complains."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

import memplan
from tests.bench import machine_text
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
    steps = ("--add", "1G@node1", "--offline", "d0:0-3", "--remove", "d0", "--add", "512M@node1")
    (folder / "added.html").write_text(made(folder, path_of("hotplug-nodes"), *steps), encoding="utf-8")
    two = made(folder, path_of("hotplug-nodes"), "--top-down", "--bottom-up")
    (folder / "two-plans.html").write_text(two, encoding="utf-8")
    two = made(folder, path_of("hotplug-nodes"), "--kernel", "3.13", "--kernel", "6.12")
    (folder / "two-kernels.html").write_text(two, encoding="utf-8")
    (folder / "boot-log.html").write_text(made(folder, log_in(folder, "f05-mtrr-hole")), encoding="utf-8")
    hostile_file = folder / "hostile.yaml"
    hostile_file.write_text(memplan.dump_machine(hostile), encoding="utf-8")
    two = made(folder, str(hostile_file), "--append", f"y={HOSTILE}")
    (folder / "hostile-two.html").write_text(two, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a machine with 10,000 map entries and 1,024 nodes."""
    folder = tmp_path_factory.mktemp("large")
    machine = folder / "large.yaml"
    machine.write_text(machine_text(1024, 4 << 30, entries=10_000, cmdline="quiet"))
    made(folder, str(machine))
    return folder / "made.html"


@pytest.fixture
def reader(browser: Reader) -> Iterator[Reader]:
    """The browser; whatever a test does in it, it must have nothing to complain of."""
    browser.complaints()
    yield browser
    assert browser.complaints() == []


def press(reader: Reader, *keys: str) -> None:
    ActionChains(reader.driver).send_keys(*keys).perform()


def emulate(reader: Reader, media: str = "", **features: str) -> None:
    """What the page is shown on, and what its reader's system is set to; without any, as the browser is."""
    given = [{"name": name, "value": value} for name, value in features.items()]
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": given})


def touch(reader: Reader, kind: str, *places: tuple[float, float]) -> None:
    """Fingers that touch, move or leave ("touchStart", "touchMove", "touchEnd"), each at its place in the window."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    reader.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def centre(reader: Reader) -> tuple[float, float]:
    """The middle of the map's first strip, once it is in view."""
    reader.run("document.querySelector('#map').scrollIntoView({block: 'center', behavior: 'instant'})")
    x, y = reader.run(
        "const box = document.querySelector('#map .strip').getBoundingClientRect();"
        "return [innerWidth / 2, box.top + box.height / 2]"
    )
    return x, y


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


def test_the_film_goes_on_after_the_boot(reader: Reader, pages: Path) -> None:
    reader.open(pages / "added.html")
    assert reader.text("#player .where").endswith("after boot, add 512M@node1")
    names = "return [...document.querySelectorAll('#map .picture .piece')].map((own) => own.getAttribute('aria-label'))"
    assert [name for name in reader.run(names) if name.startswith("d1, on-line in Movable: 512 MiB")]
    reader.open(pages / "added.html", "#step=after-1&at=0x440000000")
    assert reader.text("#player .where").endswith("after boot, offline d0:0-3")
    assert {name.partition(":")[0] for name in reader.run(names) if name.startswith("d")} == {
        "d0, off-line",
        "d0, on-line in Movable",
    }
    assert reader.text("#details h3") == "d0, off-line"
    assert reader.text("#step h3") == "After boot: offline d0:0-3"
    reader.one("#details dd a").click()
    reader.until(lambda: reader.text("#player .where").endswith("after boot, add 1G@node1"))
    reader.open(pages / "added.html", "#step=after-2")
    assert not [name for name in reader.run(names) if name.startswith("d0")]


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


def test_dragging_moves_the_view(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    for _ in range(2):
        reader.one("button[aria-label='Zoom in']").click()
    reader.until(lambda: ": 1.25 GiB," in scale(reader))
    before = scale(reader)
    centre(reader)
    picture = reader.one("#map .picture")
    chain = ActionChains(reader.driver).move_to_element(picture).click_and_hold()
    chain.move_by_offset(-100, 0).move_by_offset(-100, 0).release().perform()
    reader.until(lambda: scale(reader) != before)
    assert ": 1.25 GiB," in scale(reader), "a drag does not zoom"
    assert int(scale(reader).split()[0], 16) > int(before.split()[0], 16), (
        "what is drawn to the left uncovers what is right"
    )


def test_the_overview_moves_the_view(reader: Reader, pages: Path) -> None:
    reader.open(pages / "blocked-by-acpi.html")
    for _ in range(4):
        reader.one("button[aria-label='Zoom in']").click()
    centre(reader)
    picture = reader.one("#map .picture")
    width, height = picture.size["width"], picture.size["height"]
    ActionChains(reader.driver).move_to_element_with_offset(picture, width // 2 - 4, 8 - height // 2).click().perform()
    reader.until(lambda: scale(reader).startswith("0x0001") and "0x00013fffffff" in scale(reader))


def test_two_fingers_zoom(reader: Reader, pages: Path) -> None:
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    reader.open(pages / "blocked-by-acpi.html")
    whole = scale(reader)
    x, y = centre(reader)
    touch(reader, "touchStart", (x - 40, y), (x + 40, y))
    for apart in (60, 90, 120, 160):
        touch(reader, "touchMove", (x - apart, y), (x + apart, y))
    touch(reader, "touchEnd")
    reader.until(lambda: scale(reader) != whole)
    low, high = (int(word.rstrip(":"), 16) for word in scale(reader).split()[:3:2])
    assert (5 << 30) / 5 < high - low < (5 << 30) / 3, "fingers four times as far apart show a fourth"
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


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


def test_thousands_of_ranges_are_drawn_by_what_can_be_seen(reader: Reader, large: Path) -> None:
    assert large.stat().st_size < 2_000_000
    reader.open(large)
    zoom_in = reader.one("button[aria-label='Zoom in']")
    for _ in range(12):
        before = scale(reader)
        shapes = reader.run("return document.querySelectorAll('#map .picture *').length")
        assert shapes < 2 * 1280, f"{shapes} shapes on 1,280 pixels: {before}"
        zoom_in.click()
        reader.until(lambda before=before: scale(reader) != before)
    rows = len(reader.all(".step tbody tr, section.grid tbody tr"))
    assert rows < 3000, "tables show their first rows, and more when asked"


def test_what_comes_within_one_frame_is_drawn_once(reader: Reader, large: Path) -> None:
    reader.open(large)
    drawn = reader.run(
        "const picture = document.querySelector('#map .picture');"
        "let drawn = 0;"
        "new MutationObserver((seen) => (drawn += seen.length)).observe(picture, {childList: true});"
        "const box = picture.getBoundingClientRect();"
        "const turn = {deltaY: -5, clientX: box.left + 200, ctrlKey: true, bubbles: true, cancelable: true};"
        "for (let at = 0; at < 40; at += 1) picture.dispatchEvent(new WheelEvent('wheel', turn));"
        "return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(drawn))))"
    )
    assert drawn == 1


def test_a_step_of_a_large_machine_makes_few_elements(reader: Reader, large: Path) -> None:
    """However much a step changes, it draws what can be seen, and lists what it did by its first rows."""
    reader.open(large)
    made = reader.run(
        "const slider = document.querySelector('#player input[type=range]');"
        "let made = 0;"
        "const count = (node) => (made += node.nodeType === 1 ? 1 + node.querySelectorAll('*').length : 0);"
        "const seen = (changes) => changes.forEach((change) => change.addedNodes.forEach(count));"
        "new MutationObserver(seen).observe(document.body, {childList: true, subtree: true});"
        "const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
        "return (async () => {"
        "  const all = [];"
        "  for (let at = 0; at <= Number(slider.max); at += 1) {"
        "    made = 0;"
        "    slider.value = String(at);"
        "    slider.dispatchEvent(new Event('input'));"
        "    await frame();"
        "    all.push(made);"
        "  }"
        "  return all;"
        "})()"
    )
    assert len(made) > 50
    assert min(made) > 0
    assert max(made) < 4000, made


def test_more_rows_come_below_those_that_are_shown(reader: Reader, large: Path) -> None:
    reader.open(large)
    table = "#plan1-reserved-0"
    rows = f"document.querySelectorAll('{table} tbody tr')"
    reader.run(f"window.first = [...{rows}]")
    assert reader.run("return window.first.length") == 100
    reader.run("arguments[0].click()", reader.one(f"{table} .more"))
    assert reader.run(f"return {rows}.length") == 200
    assert reader.run(f"const now = {rows}; return window.first.every((row, at) => now[at] === row)")
    texts = [str(text) for text in reader.run(f"return [...{rows}].map((row) => row.textContent)")]
    assert len(set(texts)) == 200
    reader.one(f"{table} input").send_keys("nosuchrow")
    reader.until(lambda: reader.run(f"return {rows}.length") == 0)
    assert not reader.one(f"{table} .more").is_displayed()


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
        ("added", "#step=after-1&at=0x440000000"),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(reader: Reader, pages: Path, scheme: str, name: str, fragment: str) -> None:
    emulate(reader, **{"prefers-color-scheme": scheme})
    reader.open(pages / f"{name}.html", fragment)
    found = [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in Axe().run(reader.driver)["violations"]
    ]
    emulate(reader)
    assert found == []


@pytest.mark.parametrize("name", ["blocked-by-acpi", "two-plans", "boot-log", "added"])
def test_prints_with_the_map(reader: Reader, pages: Path, name: str) -> None:
    reader.open(pages / f"{name}.html")
    width = "return Number(document.querySelector('#map .picture').getAttribute('width'))"
    on_screen = reader.run(width)
    reader.run(f"addEventListener('beforeprint', () => (window.drawn = (() => {{ {width} }})()))")
    printed = base64.b64decode(reader.driver.print_page(PrintOptions()))
    assert printed.startswith(b"%PDF-")
    assert reader.run("return window.drawn") < 720 < on_screen, "the map must be drawn as wide as a sheet"
    reader.until(lambda: reader.run(width) == on_screen)


def test_paper_shows_map_and_tables_without_what_can_be_pressed(reader: Reader, pages: Path) -> None:
    emulate(reader, "print", **{"prefers-color-scheme": "dark"})
    reader.open(pages / "blocked-by-acpi.html")
    assert reader.one("#map .picture").is_displayed()
    assert reader.one("#plan1-reserved-0 td").is_displayed()
    assert not any(each.is_displayed() for each in reader.all("nav, .controls, .tools, .filter"))
    assert reader.run("return getComputedStyle(document.body).color") == "rgb(28, 30, 33)", "paper is white"
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert reader.run(style, "#plan1-reserved-0 th button", "display") == "contents", "heads are said on each sheet"
    assert reader.run(style, "#plan1-reserved-0 h3", "breakAfter") == "avoid"
    assert reader.run(style, "#plan1-reserved-0 tr", "breakInside") == "avoid"
    emulate(reader)


def test_a_calm_reader_gets_a_calm_film(reader: Reader, pages: Path) -> None:
    paces = []
    for motion in ("no-preference", "reduce"):
        emulate(reader, **{"prefers-reduced-motion": motion})
        reader.open(pages / "hotplug-nodes.html")
        reader.run("const set = setInterval; window.setInterval = (run, pace) => set(run, (window.pace = pace))")
        reader.one("#player button[aria-label=Play]").click()
        paces.append(reader.run("return window.pace"))
        assert reader.run("return document.getAnimations().length") == 0
        reader.one("#player button[aria-label=Pause]").click()
    emulate(reader)
    assert paces[0] < paces[1]


def test_the_focus_goes_through_the_page_as_it_is_read(reader: Reader, pages: Path) -> None:
    """Every stop can be seen, and none comes before one that stands above it in the document."""
    reader.open(pages / "blocked-by-acpi.html")
    reader.run("document.body.focus(); window.stops = []")
    for _ in range(40):
        press(reader, Keys.TAB)
        reader.run("window.stops.push(document.activeElement)")
    assert reader.run(
        "return stops.every((own, at) => !at || stops[at - 1] === own ||"
        " (stops[at - 1].compareDocumentPosition(own) & Node.DOCUMENT_POSITION_FOLLOWING))"
    )
    assert reader.run("return stops[0].className") == "skip"
    assert reader.run("return stops.filter((own) => own.closest('#map .picture')).length") == 1
    assert reader.run("return stops.every((own) => own.getClientRects().length)")
    assert reader.run("return new Set(stops).size") == 40


def test_a_plan_without_the_step_that_is_shown_says_so(reader: Reader, pages: Path) -> None:
    reader.open(pages / "two-kernels.html")
    slider = reader.one("#player input[type=range]")
    slider.send_keys(Keys.HOME)
    assert [own.text for own in reader.all("#player .direction span:not(.arrow)")][1].startswith("6.12: nothing yet")
    assert reader.all("#step .step")[1].text.startswith("6.12\nnothing yet")
    assert reader.all("#map .strip")[1].find_elements("css selector", ".piece") == []
    slider.send_keys(Keys.ARROW_RIGHT)
    assert all("reserve_kernel_image" in own.text for own in reader.all("#step .step h3"))
    slider.send_keys(Keys.ARROW_RIGHT)
    assert "as reserve_kernel_image left it" in reader.all("#step .step")[0].text
    assert reader.all("#step .step h3")[1].text.startswith("6.12: reserve_low_pages")


@pytest.mark.parametrize("name", ["blocked-by-acpi", "hotplug-nodes", "two-plans", "boot-log", "added"])
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
