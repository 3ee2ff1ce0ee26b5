"""What ``make release`` asks of a wheel and a source archive before they may be published.

``python -m tests.check_release dist`` says of what is in ``dist``: that the wheel holds every committed file of the
package and nothing else, and that the version, changelog, ``CITATION.cff`` and the tag agree. No package is needed.
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGE = "src/hipp_prune"
MODELS = ("toy-llava", "toy-qwen2.5-vl")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
"""What a source archive has beside the package."""


def main(folder: Path) -> int:
    """Checks a folder's one wheel and one source archive, prints what was found, and returns the exit status."""
    wheels, archives = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if (len(wheels), len(archives)) != (1, 1):
        found = ", ".join(path.name for path in (*wheels, *archives)) or "neither"
        return _print([f"{folder}: expected one wheel and one source archive, found {found}"])
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = wheel.namelist()
        headers = HeaderParser().parsestr(wheel.read(_metadata(names)).decode())
    with tarfile.open(archives[0]) as archive:
        sources = [PurePosixPath(name) for name in archive.getnames()]
    version = str(headers["Version"])
    faults = [
        *wheel_faults(names, committed()),
        *source_faults(["/".join(path.parts[1:]) for path in sources], committed()),
        *metadata_faults({name: headers.get_all(name, []) for name in headers}),
        *version_faults(
            version,
            (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
            (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
            _git("tag", "--points-at", "HEAD"),
            _git("tag", "--list"),
        ),
    ]
    if faults:
        return _print(faults)
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.2f} MB" for path in (wheels[0], archives[0]))
    sys.stdout.write(
        f"{sizes}: {len(names)} files in the wheel, version {version}, changelog and tag agree\n"
    )
    return 0


def committed() -> list[str]:
    """The package's files under git, from its own folder: ``models/tried.json``."""
    return [path.removeprefix(f"{PACKAGE}/") for path in _git("ls-files", PACKAGE)]


def wheel_faults(names: Sequence[str], package: Sequence[str]) -> list[str]:
    """Files that are missing from a wheel, or that do not belong into it.

    Args:
        names: all files of the wheel.
        package: the files that ``hipp_prune/`` has to consist of.
    """
    inside = {name.removeprefix("hipp_prune/") for name in names if name.startswith("hipp_prune/")}
    others = [name for name in names if not re.match(r"hipp_prune/|hipp_prune-[^/]+\.dist-info/", name)]
    weights = [f"models/embedded/{model}/model.safetensors" for model in MODELS]
    return [
        *(f"the wheel lacks {name}" for name in sorted({*package, *weights} - inside)),
        *(f"the wheel holds {name}, which is not under git" for name in sorted(inside - set(package))),
        *(f"the wheel holds {name}, expected the package alone" for name in others),
        *([] if any(name.endswith("/LICENSE") for name in names) else ["the wheel lacks LICENSE"]),
    ]


def source_faults(names: Iterable[str], package: Sequence[str]) -> list[str]:
    """Files that are missing from a source archive, or that are made by tools."""
    there = set(names)
    wanted = {*SOURCES, *(f"{PACKAGE}/{name}" for name in package)}
    return [
        *(f"the source archive lacks {name}" for name in sorted(wanted - there)),
        *(f"the source archive holds {name}" for name in sorted(there) if "__pycache__" in name),
    ]


def metadata_faults(headers: dict[str, list[str]]) -> list[str]:
    """What a package index shows and that is missing from a wheel's headers."""
    wanted = (
        "Name",
        "Version",
        "Summary",
        "License-Expression",
        "Requires-Python",
        "Description-Content-Type",
    )
    return [f"the wheel's metadata lacks {name}" for name in wanted if not any(headers.get(name, []))]


def version_faults(
    version: str, changelog: str, citation: str, here: Sequence[str], tags: Sequence[str]
) -> list[str]:
    """Where a version, the changelog, the citation and the tags contradict each other.

    A development version (``0.2.0.dev0``) has changes under *Unreleased*. Any other has a section of its own at the
    top, is cited, and either has no tag yet or one on this commit.

    Args:
        version: of the wheel.
        changelog: the text of ``CHANGELOG.md``.
        citation: the text of ``CITATION.cff``.
        here: tags of this commit.
        tags: all tags.
    """
    sections = re.findall(r"^## (\S+)(.*)$", changelog, flags=re.MULTILINE)
    first = sections[0][0] if sections else "nothing"
    cited = "".join(re.findall(r"^version: (\S+)$", citation, flags=re.MULTILINE))
    if ".dev" in version:
        return [] if first == "Unreleased" else [f"{version} wants an Unreleased section, found {first}"]
    faults = []
    if first != version:
        faults.append(f"the changelog begins with {first}, expected {version}")
    elif not re.fullmatch(r" \(\d{4}-\d\d-\d\d\)", sections[0][1]):
        faults.append(f"the changelog's section {version} has no date: '## {version} (2026-01-31)'")
    if cited != version:
        faults.append(f"CITATION.cff cites {cited or 'no version'}, expected {version}")
    if f"v{version}" in tags and f"v{version}" not in here:
        faults.append(f"the tag v{version} is on another commit")
    return faults


def _metadata(names: Iterable[str]) -> str:
    return next(name for name in names if name.endswith(".dist-info/METADATA"))


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def _print(faults: Iterable[str]) -> int:
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
