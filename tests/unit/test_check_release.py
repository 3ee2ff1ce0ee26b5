"""A release that lacks a file, brings a foreign one, or calls itself by two versions is refused."""

import pytest

from tests.check_release import committed, metadata_faults, source_faults, version_faults, wheel_faults

WEIGHTS = [f"models/embedded/{model}/model.safetensors" for model in ("toy-llava", "toy-qwen2.5-vl")]
PACKAGE = ["__init__.py", *WEIGHTS]
WHEEL = [*(f"hipp_prune/{name}" for name in PACKAGE), "hipp_prune-1.0.dist-info/licenses/LICENSE"]
CHANGELOG = "# Changelog\n\n## 1.0.0 (2026-11-29)\n\n### Added\n\n## 0.1.0\n"
CITATION = "version: 1.0.0\n"


def test_the_embedded_models_are_under_git() -> None:
    assert set(PACKAGE) < set(committed())


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (WHEEL, None),
        ([name for name in WHEEL if "toy-llava" not in name], f"the wheel lacks {WEIGHTS[0]}"),
        ([*WHEEL, "hipp_prune/left.py"], "the wheel holds left.py, which is not under git"),
        ([*WHEEL, "tests/tiny.py"], "the wheel holds tests/tiny.py, expected the package alone"),
        ([*WHEEL, "benchmarks/bench.py"], "the wheel holds benchmarks/bench.py, expected the package alone"),
        (WHEEL[:-1], "the wheel lacks LICENSE"),
    ],
)
def test_a_wheel_is_the_package_and_nothing_else(names: list[str], fault: str | None) -> None:
    assert wheel_faults(names, PACKAGE) == ([] if fault is None else [fault])


def test_a_source_archive_makes_the_wheel_again() -> None:
    whole = ["pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "src/hipp_prune/__init__.py"]
    assert source_faults(whole, ["__init__.py"]) == []
    assert source_faults(whole[1:], ["__init__.py"]) == ["the source archive lacks pyproject.toml"]
    made = "src/hipp_prune/__pycache__/api.pyc"
    assert source_faults([*whole, made], ["__init__.py"]) == [f"the source archive holds {made}"]


def test_what_an_index_shows_is_there() -> None:
    names = (
        "Name",
        "Version",
        "Summary",
        "License-Expression",
        "Requires-Python",
        "Description-Content-Type",
    )
    headers = {name: ["x"] for name in names}
    assert metadata_faults(headers) == []
    assert metadata_faults({**headers, "Summary": []}) == ["the wheel's metadata lacks Summary"]


@pytest.mark.parametrize(
    ("version", "changelog", "citation", "here", "tags", "fault"),
    [
        ("1.0.0", CHANGELOG, CITATION, [], [], None),
        ("1.0.0", CHANGELOG, CITATION, ["v1.0.0"], ["v0.1.0", "v1.0.0"], None),
        ("1.0.0", CHANGELOG, CITATION, [], ["v1.0.0"], "the tag v1.0.0 is on another commit"),
        ("1.0.0", CHANGELOG, "version: 0.1.0\n", [], [], "CITATION.cff cites 0.1.0, expected 1.0.0"),
        (
            "1.0.0",
            "## Unreleased\n",
            CITATION,
            [],
            [],
            "the changelog begins with Unreleased, expected 1.0.0",
        ),
        ("1.0.0", "## 1.0.0\n", CITATION, [], [], "has no date"),
        ("1.1.0.dev0", "## Unreleased\n", CITATION, [], [], None),
        ("1.1.0.dev0", CHANGELOG, CITATION, [], [], "1.1.0.dev0 wants an Unreleased section, found 1.0.0"),
    ],
)
def test_version_changelog_citation_and_tag_agree(
    version: str, changelog: str, citation: str, here: list[str], tags: list[str], fault: str | None
) -> None:
    found = version_faults(version, changelog, citation, here, tags)
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]
