import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Len, Lt
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import InputError, PlanError
from hipp_prune.files.ranges import Bounds, Count, Large, NotNegative, Seed, Share
from hipp_prune.files.strict import check_settings, check_value, parse_json


@dataclass(frozen=True, kw_only=True)
class Inner:
    widths: tuple[tuple[float, ...], ...]
    share: Share = 0.5

    def __post_init__(self) -> None:
        if self.share == 0.25:
            raise ValueError("a quarter is no share here")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: Count
    kind: Literal["coupled", "rows"]
    inner: Inner | None = None
    weights: tuple[float, float] | None = None
    names: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    size: Count | list[Count] | None = None
    id: Annotated[str, Len(1)] | int = 0
    interval: Bounds = (0.0, 1.0)


def _parse(text: str, *, foreign: bool = False) -> Outer:
    return parse_json(
        text, Outer, where="plan.json", remedy="write it again", error=PlanError, foreign=foreign
    )


def _outer(**fields: object) -> str:
    return json.dumps({"count": 3, "kind": "rows", **fields})


def test_what_is_declared_is_read():
    text = _outer(inner={"widths": [[1, 2.5], []]}, weights=[1, 2], names=["λ"], notes={"any": [None, True]})
    assert _parse(text) == Outer(
        count=3,
        kind="rows",
        inner=Inner(widths=((1.0, 2.5), ())),
        weights=(1.0, 2.0),
        names=["λ"],
        notes={"any": [None, True]},
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "expected JSON, found an error at column 2: .*"),
        ('{\n"a"', "expected JSON, found an error at line 2, column 4: .*"),
        ("", "expected JSON, found an error at column 1: .*"),
        ("[" * 100_000, "expected JSON, found values nested too deeply"),
        ("[" * 300 + "]" * 300, "expected JSON, found an error: recursion limit exceeded.*"),
        ('{"count": 1, "count": 2}', "expected JSON, found the key count twice in one object"),
        (_outer(notes={"a": float("nan")}), "expected JSON, found a number that is not finite, NaN"),
        (_outer(count=3).replace("3", "1e999"), "expected JSON, found a number that is not finite, 1e999"),
        (_outer(count=3).replace("3", "9" * 5000), "expected JSON, found an integer of 5000 digits"),
        (_outer(notes={"a": "\ud800"}), "expected JSON, found an error: .*hex escape.*"),
        ("[]", "expected an object, found a list of 0"),
        ("3", "expected an object, found 3"),
        ('{"kind": "rows"}', "expected a field 'count', found kind"),
        ("{}", "expected a field 'count', found no field at all"),
        (_outer(count=True), "expected field 'count' to be an integer, found True"),
        (_outer(count=3.0), "expected field 'count' to be an integer, found 3.0"),
        (_outer(count="3"), "expected field 'count' to be an integer, found '3'"),
        (_outer(count=0), "expected field 'count' to be at least 1, found 0"),
        (_outer(count=2**31), "expected field 'count' to be below 2147483648, found 2147483648"),
        (_outer(count=10**100), "expected field 'count' to be .*, found a huge integer"),
        (_outer(kind="fish"), "expected field 'kind' to be 'coupled' or 'rows', found 'fish'"),
        (_outer(kind=["rows"]), "expected field 'kind' to be 'coupled' or 'rows', found a list of 1"),
        (_outer(inner=3), "expected field 'inner' to be an object, found 3"),
        (
            _outer(inner={"widths": [[1], [2, "x" * 100]]}),
            r"expected field 'inner.widths\[1\]\[1\]' to be a number, found 'x+…",
        ),
        (
            _outer(inner={"widths": [], "share": 1.5}),
            "expected field 'inner.share' to be at most 1, found 1.5",
        ),
        (
            _outer(inner={"widths": [], "share": 0.25}),
            "a quarter is no share here, in field 'inner'",
        ),
        (_outer(weights=[1]), r"expected an element 'weights\[1\]', found a list of 1"),
        (_outer(weights=[1, 2, 3]), "expected field 'weights' to be at most 2 long, found a list of 3"),
        (_outer(size="x"), "expected field 'size' to be an integer or a list, found 'x'"),
        (_outer(size=0), "expected field 'size' to be at least 1 or a list, found 0"),
        (_outer(size=[3, True]), r"expected field 'size\[1\]' to be an integer, found True"),
        (_outer(id=""), "expected field 'id' to be a string that is not empty or an integer, found ''"),
        (_outer(id=1.5), "expected field 'id' to be a string or an integer, found 1.5"),
        (_outer(interval=[0.5, 0.25]), "expected field 'interval' to be in order, found a list of 2"),
        (_outer(names=[None]), r"expected field 'names\[0\]' to be a string, found None"),
        (_outer(notes=[]), "expected field 'notes' to be an object, found a list of 0"),
        (_outer(colour="blue"), "expected no field 'colour', found it to be 'blue'"),
    ],
)
def test_what_is_not_declared_is_one_sentence(text: str, sentence: str):
    with pytest.raises(PlanError, match=rf"^plan\.json: {sentence}; write it again$") as caught:
        _parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_byte_that_is_no_text_is_one_sentence():
    text = b'"\x80"'.decode("utf-8", errors="surrogateescape")
    with pytest.raises(PlanError, match=r"^plan\.json: expected .*; write it again$"):
        parse_json(text, str, where="plan.json", remedy="write it again", error=PlanError)


def test_formats_of_others_may_hold_more():
    assert _parse(_outer(colour=float("inf")), foreign=True) == Outer(count=3, kind="rows")
    with pytest.raises(PlanError, match="'count' to be at least 1"):
        _parse(_outer(count=0, colour="blue"), foreign=True)


@given(st.binary() | st.text().map(str.encode))
def test_any_text_is_read_or_refused(content: bytes):
    with pytest.raises(PlanError, match=r"^plan\.json: expected "):
        _parse(content.decode("utf-8", errors="surrogateescape"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["count", "kind", "inner", "weights", "names", "notes", "?"]), _JSON))
def test_any_object_is_read_as_declared_or_refused(content: dict[str, object]):
    try:
        found = _parse(json.dumps(content))
    except PlanError as error:
        assert str(error).startswith("plan.json: ")  # noqa: PT017
    else:
        assert type(found.count) is int
        assert found.count >= 1
        assert found.kind in ("coupled", "rows")


def test_values_already_read_are_as_strict():
    def check(value: object) -> object:
        return check_value(
            value, dict[str, Count], where="row 3", remedy="download it again", error=InputError
        )

    assert check({"a": 1}) == {"a": 1}
    with pytest.raises(
        InputError, match=r"^row 3: expected field 'a' to be an integer, found True; download"
    ):
        check({"a": True})


@dataclass(frozen=True, kw_only=True)
class Settings:
    batch_size: Count = 64
    seed: Seed = 0
    image_memory: Large = 2**30
    limit: Count | None = None
    rate: Annotated[float, Gt(0), Lt(1)] = 0.5
    weight: NotNegative = 1.0
    method: Literal["hybrid", "random"] = "hybrid"
    questions: tuple[str, ...] = ()
    folder: Path | None = None
    inner: Inner = Inner(widths=())

    def __post_init__(self) -> None:
        check_settings(self)


def test_settings_in_their_ranges_are_kept():
    Settings()
    settings = Settings(
        batch_size=1, seed=7, rate=0.1, weight=0, limit=5, questions=("toyworld",), folder=Path()
    )
    assert settings.batch_size == 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"batch_size": 0}, "expected --batch-size to be at least 1, found 0; correct it"),
        (
            {"batch_size": 10**300},
            "expected --batch-size to be below 2147483648, found a huge integer; correct it",
        ),
        ({"batch_size": True}, "expected --batch-size to be an integer, found True; correct it"),
        ({"batch_size": 2.0}, "expected --batch-size to be an integer, found 2.0; correct it"),
        ({"seed": -1}, "expected --seed to be at least 0, found -1; correct it"),
        ({"limit": -1}, "expected --limit to be at least 1, found -1; correct it"),
        ({"image_memory": float("nan")}, "expected --image-memory to be an integer, found nan; correct it"),
        ({"rate": float("nan")}, "expected --rate to be a finite number, found nan; correct it"),
        ({"rate": 1.0}, "expected --rate to be below 1, found 1.0; correct it"),
        ({"weight": 1e300}, r"expected --weight to be at most 1000000000, found 1e\+300; correct it"),
        ({"weight": float("inf")}, "expected --weight to be a finite number, found inf; correct it"),
        ({"method": "hybird"}, "expected --method to be 'hybrid' or 'random', found 'hybird'; correct it"),
        ({"questions": "toyworld"}, "expected --questions to be a list, found 'toyworld'; correct it"),
    ],
)
def test_settings_out_of_range_name_their_flag(changed: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        Settings(**changed)
