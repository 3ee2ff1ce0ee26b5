"""Photographs the page that ``hipp-prune explore`` writes: ``docs/explorer.png``, the picture in README.

``python docs/draw_explorer.py demo`` after ``make demo``; needs Debian's chromium and the package playwright.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.report.explorer import write_explorer

PICTURE = Path(__file__).parent / "explorer.png"
_WIDTH, _HEIGHT = 1240, 576


def main(run: Path) -> None:
    """Writes the picture of a searched run's page."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("draw_explorer needs a chromium on the path; apt-get install chromium")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = write_explorer(RunDirectory(run), Path(folder) / "explorer.html")
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = launched.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        opened.goto(page.as_uri())
        opened.wait_for_selector("#bars rect")
        opened.screenshot(path=PICTURE)
        launched.close()
    with Image.open(PICTURE) as taken:
        few = taken.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    few.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
