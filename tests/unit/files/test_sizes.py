"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import InputError
from hipp_prune.files.sizes import format_bytes, least_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * 10**9),
        ("8GiB", 8 * 2**30),
        ("900MB", 9 * 10**8),
        ("7.5 GB", 75 * 10**8),
        ("12345", 12345),
        ("2kB", 2000),
    ],
)
def test_parse(text: str, size: int) -> None:
    assert parse_size(text, flag="--fit") == size


@pytest.mark.parametrize(
    ("text", "told"),
    [("8gb", "did you mean 8GB?"), ("8G", "did you mean 8GB?"), ("8 gib", "8GiB?"), ("8 PB", "correct it"),
     ("-3GB", "correct it"), ("", "correct it"), ("GB", "correct it"), ("0", "one byte"), ("1e9", "correct it")],
)  # fmt: skip
def test_anything_else_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match="expected --fit to be a size") as error:
        parse_size(text, flag="--fit")
    assert told in str(error.value)


@given(st.integers(1, 2**50))
def test_the_least_size_holds_what_it_is_of(count: int) -> None:
    assert count <= parse_size(least_size(count), flag="--fit") <= count * 1.001 + 1


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (12_345, "12.3 kB"), (999_900, "1 MB"), (13_5 * 10**8, "13.5 GB")],
)
def test_format_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text
