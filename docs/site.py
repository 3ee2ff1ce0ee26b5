"""What the site adds to the pages: README in front, and links where a page names another (mkdocs calls these)."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the repository's root, and what the site calls them."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the root's pages, which lie outside of ``docs``."""
    for name, page in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Makes a link of each page's name that is set in type, such as ``docs/auto.md``, outside of blocks of code."""
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    up = "../" * page.file.src_uri.count("/")

    def link(found: re.Match[str]) -> str:
        name = BESIDE.get(found[1], found[1].removeprefix("docs/"))
        there = files.get_file_from_path(name) is not None
        return f"[`{found[1]}`]({up}{name})" if there and name != page.file.src_uri else found[0]

    parts[::2] = [re.sub(r"(?<!\[)`((?:docs/)?[\w/.-]+\.md)`", link, part) for part in parts[::2]]
    parts[::2] = [part.replace("](docs/", f"]({up}") for part in parts[::2]]  # pictures of the root's pages
    return "".join(parts)
