"""The explorer in a real browser: drag, press, type and read; what it shows is what ``query`` answers."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_text
from hipp_prune.plans.preference import Preference
from hipp_prune.report.explorer import render_explorer
from hipp_prune.search.query.planner import Planner
from tests.unit.report.explored import explored, make_planner
from tests.unit.report.synthetic import BLOCKS, NEURONS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")


@pytest.fixture(scope="module")
def planner() -> Planner:
    return make_planner()


@pytest.fixture(scope="module")
def file(planner: Planner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explored")
    write_text(folder / "explorer.html", render_explorer(explored(folder, planner), planner))
    return folder / "explorer.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The page at 390 pixels, with touch; whatever the console complains of is an error, and so is any request."""
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    complaints: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request", lambda request: complaints.append(request.url) if "file:" not in request.url else None
    )
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert complaints == []


def weights(page: Any) -> tuple[int, ...]:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tuple(int(page.input_value(f"#weight-{index}")) for index in range(3))


def shown(page: Any) -> list[int]:
    """Kept neurons of the bars."""
    said = page.locator("#bars rect title").all_text_contents()
    assert len(said) == BLOCKS
    return [int(re.search(r"keeps (\d+) of", each)[1]) for each in said]


def agrees(page: Any, planner: Planner, sparsity: float | None = None) -> bool:
    asked = Preference.of(weights(page))
    kept = planner.query(asked, sparsity=sparsity).kept
    return max(abs(a - b) for a, b in zip(shown(page), kept, strict=True)) <= 1


def corner(page: Any, x: float, y: float) -> tuple[float, float]:
    """A point of the triangle's own 300 × 270 pixels, on the screen."""
    box = page.locator("#triangle").bounding_box()
    return box["x"] + x * box["width"] / 300, box["y"] + y * box["height"] / 270


def test_a_drag_moves_the_preference_and_the_plan(page: Any, planner: Planner) -> None:
    before = shown(page)
    page.mouse.move(*corner(page, 150, 164))
    page.mouse.down()
    page.mouse.move(*corner(page, 150, 100), steps=4)
    page.mouse.move(*corner(page, 150, 10), steps=4)
    page.mouse.up()
    assert weights(page) == (100, 0, 0)
    assert agrees(page, planner)
    assert shown(page) != before
    assert "Robustness 100, utility 0, compression 0" in page.inner_text("#said")


def test_a_tap_and_keys_do_too(page: Any, planner: Planner) -> None:
    page.touchscreen.tap(*corner(page, 276, 232))
    assert weights(page) == (0, 0, 100)
    page.focus("#triangle")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert weights(page) == (10, 1, 89)
    assert agrees(page, planner)
    said = page.get_attribute("#triangle", "aria-valuetext")
    assert said == "robustness 10 percent, utility 1 percent, compression 89 percent"


def test_numbers_can_be_typed_and_the_size_can_be_fixed(page: Any, planner: Planner) -> None:
    page.fill("#weight-1", "70")
    page.press("#weight-1", "Enter")
    assert weights(page)[1] == 70
    assert sum(weights(page)) == 100
    assert agrees(page, planner)
    page.check("#fix")
    page.fill("#sparsity", "35")
    page.press("#sparsity", "Enter")
    assert agrees(page, planner, 0.35)
    removed = page.locator("#plans tr", has_text="neurons removed").locator("td").first.inner_text()
    assert float(removed.rstrip("%")) == pytest.approx(35, abs=50 / (BLOCKS * NEURONS) * 1.1)
    first, second = page.inner_text("#commands").splitlines()
    assert first.endswith(f"--preference {','.join(map(str, weights(page)))} --sparsity 0.35")
    assert second.startswith("hipp-prune prune --run ")


def test_two_pins_show_what_changes(page: Any) -> None:
    page.click("#pin-0")
    page.fill("#weight-2", "100")
    page.press("#weight-2", "Enter")
    weights(page)
    page.click("#pin-1")
    head = page.locator("#plans thead th").all_inner_texts()
    assert head == ["", "this plan", "A", "B", "A to B", "one width", "dense"]
    assert "From A to B, in kept neurons: block" in page.inner_text("#changes")
    assert page.locator("#triangle circle.pin").count() == 2
    page.click("#unpin")
    assert "A to B" not in page.inner_text("#plans")


def test_every_control_has_a_name_and_nothing_is_wider_than_the_screen(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for control in page.locator("input").all():
        assert control.evaluate("each => each.labels.length") == 1 or control.get_attribute("aria-label")
    for drawing in ("bars", "map"):
        assert len(page.get_attribute(f"#{drawing}", "aria-label")) > 60
    assert page.locator("[aria-live=polite]").count() == 1


def test_tables_fit_a_phone_until_something_is_pinned(page: Any) -> None:
    for table in ("plans", "measured"):
        over = page.evaluate(
            f"(() => {{ const box = document.getElementById('{table}').parentElement;"
            " return box.scrollWidth - box.clientWidth; })()"
        )
        assert over == 0, table


def test_of_a_7b_and_a_long_search_it_is_below_one_and_a_half_megabytes(tmp_path: Path) -> None:
    planner = make_planner(blocks=32, neurons=11_008)
    page = render_explorer(explored(tmp_path, planner, count=2000), planner)
    assert page.count('"kept"') == 1
    assert 600_000 < len(page.encode()) < 1_500_000


def test_one_measured_role_is_shown_against_sparsity_and_a_small_archive_says_what_it_lacks(
    browser: Any, planner: Planner, tmp_path: Path
) -> None:
    contents = explored(tmp_path, planner)
    few = [replace(row, minibatch=0, utility=0.0, accuracies={"pope": 0.9}) for row in contents.archive]
    found = replace(contents, archive=few, run=RunDirectory(tmp_path / "without forecast"))
    write_text(tmp_path / "explorer.html", render_explorer(found, planner))
    opened = browser.new_page()
    opened.goto((tmp_path / "explorer.html").as_uri())
    drawn = opened.inner_html("#map")
    assert "robustness R" in drawn
    assert ">sparsity<" in drawn
    assert "utility" not in drawn + opened.inner_text("#place")
    assert len({each.get_attribute("cx") for each in opened.locator("#map circle.dot").all()}) > 5
    assert opened.locator("#asked").is_hidden()
    assert re.search(r"needs at least 24 evaluations on 4 minibatches", opened.inner_text("#found"))
    opened.close()


def test_commands_are_copied_a_line_each(page: Any) -> None:
    page.evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; }")
    page.click("#copy")
    assert page.evaluate("window.copied") == page.inner_text("#commands")
    assert page.evaluate("window.copied").count("\n") == 1
