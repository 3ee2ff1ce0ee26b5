"""Objects are found as whole words, in singular and plural, the longest name first."""

import pytest

from hipp_prune.evaluation.objects import find_objects, only_named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Two dogs and a hot dog.", ["dog", "hot dog"]),
        ("A man on a motorbike; BUSES behind him.", ["person", "motorcycle", "bus"]),
        ("A category of scarves.", []),
        ("", []),
    ],
)
def test_names(text: str, named: list[str]) -> None:
    assert [name for name, _, _ in find_objects(text)] == named
    assert all(text[start:end] for _, start, end in find_objects(text))


def test_only_what_the_other_does_not_name() -> None:
    assert [name for name, _, _ in only_named("A woman, a cat and a bench.", "People on benches.")] == ["cat"]
    assert only_named("A cat.", "A cat.") == []
