"""Splits never share a group, nor a picture under two names, and depend on the group alone."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.benchmarks import scienceqa
from hipp_prune.questions.question import Question
from hipp_prune.questions.splits import FRACTIONS, SPLITS, Split, assign, at_most, divide, divide_together

REAL = Path(__file__).parents[4] / "shared" / "data" / "scienceqa"


def asking(number: int, group: str, image: Path | None = None) -> Question:
    return Question(
        benchmark="pope",
        id=str(number),
        prompt="Is there a cup?",
        images=(image,) if image else (),
        answers=("Yes", "No"),
        gold=0,
        subset="random",
        group=group,
    )


def split_of(assigned: dict[Split, list[Question]]) -> dict[str, Split]:
    return {question.id: split for split, questions in assigned.items() for question in questions}


@given(groups=st.lists(st.text(max_size=8), max_size=60), seed=st.integers(0, 99), data=st.data())
def test_each_question_is_assigned_once_and_no_group_is_divided(
    groups: list[str], seed: int, data: st.DataObject
) -> None:
    questions = [asking(number, group) for number, group in enumerate(groups)]
    assigned = assign(questions, seed=seed)
    assert tuple(assigned) == SPLITS
    assert Counter(split_of(assigned).keys()) == Counter(question.id for question in questions)
    owners: dict[str, Split] = {}
    for question in questions:
        split = split_of(assigned)[question.id]
        assert owners.setdefault(question.group, split) == split
    # Neither the order nor the company matters.
    some = data.draw(st.lists(st.sampled_from(questions), unique_by=lambda q: q.id)) if questions else []
    assert split_of(assign(some, seed=seed)).items() <= split_of(assigned).items()


@given(groups=st.lists(st.integers(0, 12), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_no_split_stays_empty_where_there_are_as_many_groups(groups: list[int], seed: int) -> None:
    questions = [asking(number, str(group)) for number, group in enumerate(groups)]
    drawn, divided = split_of(assign(questions, seed=seed)), divide(questions, seed=seed)
    assert len({split_of(divided)[str(number)] for number in range(len(groups))}) == min(
        len(set(groups)), len(SPLITS)
    ) or len(set(groups)) < len(SPLITS)
    owners: dict[int, Split] = {}
    for number, group in enumerate(groups):
        split = split_of(divided)[str(number)]
        assert owners.setdefault(group, split) == split
    if set(drawn.values()) == set(SPLITS):
        assert split_of(divided) == drawn
    moved = {groups[int(id)] for id, split in split_of(divided).items() if drawn[id] != split}
    assert len(moved) <= len(SPLITS) - len(set(drawn.values()))


@given(names=st.lists(st.sampled_from(["pope", "scienceqa"]), max_size=30), few=st.integers(1, 9))
def test_fewer_questions_are_some_of_more_in_their_order(names: list[str], few: int) -> None:
    questions = [replace(asking(number, ""), benchmark=name) for number, name in enumerate(names)]
    chosen = at_most(questions, few)
    assert chosen == [question for question in questions if question in chosen]
    counted, had = (Counter(question.benchmark for question in each) for each in (chosen, questions))
    assert counted == {name: min(few, number) for name, number in had.items()}
    assert set(chosen) <= set(at_most(questions, few + 1))
    assert at_most(questions, None) == questions
    alone = [question for question in questions if question.benchmark == "pope"]
    assert at_most(alone, few) == [question for question in chosen if question.benchmark == "pope"]


def test_copies_of_a_picture_stay_together_wherever_they_lie(tmp_path: Path) -> None:
    questions = []
    for number in range(60):
        path = tmp_path / f"{number}.png"
        path.write_bytes(bytes([number // 2]))
        questions.append(asking(number, str(path), path))
    splits = split_of(assign(questions))
    assert all(splits[str(number)] == splits[str(number + 1)] for number in range(0, 60, 2))
    assert len(set(splits.values())) == len(SPLITS)

    moved = tmp_path / "moved"
    moved.mkdir()
    for question in questions:
        assert question.images
        question.images[0].rename(moved / question.images[0].name)
    images = [moved / f"{number}.png" for number in range(60)]
    again = [replace(q, images=(i,), group=str(i)) for q, i in zip(questions, images, strict=True)]
    assert split_of(assign(again)) == splits


def test_a_missing_picture_is_represented_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "absent.png"
    assigned = assign([asking(1, str(path), path), asking(2, str(path), path)])
    assert len(set(split_of(assigned).values())) == 1


@given(
    shown=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), max_size=12), seed=st.integers(0, 9)
)
def test_questions_that_share_a_picture_stay_together(shown: list[list[int]], seed: int) -> None:
    questions = [
        replace(
            asking(number, "|".join(map(str, images))), images=tuple(Path(str(image)) for image in images)
        )
        for number, images in enumerate(shown)
    ]
    for split in (assign, divide):
        owners = split_of(split(questions, seed=seed))
        for one in questions:
            for other in questions:
                assert not set(one.images) & set(other.images) or owners[one.id] == owners[other.id]


def test_questions_that_share_pictures_through_a_third_stay_together() -> None:
    about = [("a",), ("b",), ("a", "b")]
    questions = [
        replace(asking(number, "|".join(names)), images=tuple(map(Path, names)))
        for number, names in enumerate(about)
    ]
    apart = [seed for seed in range(20) if len(set(split_of(assign(questions[:2], seed=seed)).values())) > 1]
    assert apart, "without the third they may part"
    assert all(len(set(split_of(assign(questions, seed=seed)).values())) == 1 for seed in apart)


def _showing(id: str, *names: str, group: str | None = None) -> Question:
    return replace(
        asking(0, "|".join(names) if group is None else group), id=id, images=tuple(map(Path, names))
    )


@given(
    tables=st.lists(
        st.lists(
            st.tuples(
                st.lists(st.integers(0, 9), max_size=3), st.sampled_from([None, None, "one", "another"])
            ),
            max_size=8,
        ),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 9),
)
def test_no_picture_is_in_two_splits_of_two_sources(
    tables: list[list[tuple[list[int], str | None]]], seed: int
) -> None:
    sources = [
        [_showing(f"{table}/{row}", *map(str, shown), group=group) for row, (shown, group) in enumerate(rows)]
        for table, rows in enumerate(tables)
    ]
    divided = divide_together(sources, seed=seed)
    splits: dict[object, Split] = {}
    for source, parts in zip(sources, divided, strict=True):
        assert sorted(split_of(parts)) == sorted(question.id for question in source)
        for split, members in parts.items():
            for question in members:
                for name in (question.group, *question.images):
                    assert splits.setdefault(name, split) == split


@given(groups=st.lists(st.integers(0, 12), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_sources_that_share_nothing_are_divided_as_each_alone(groups: list[int], seed: int) -> None:
    ours = [asking(number, f"ours {group}") for number, group in enumerate(groups)]
    theirs = [asking(number, f"theirs {group % 5}") for number, group in enumerate(groups)]
    assert divide_together([ours, theirs], seed=seed) == [divide(each, seed=seed) for each in (ours, theirs)]


@pytest.mark.parametrize("seed", range(10))
def test_two_sources_about_the_same_few_pictures_fill_every_split(seed: int) -> None:
    sources = [[_showing(f"{source}/{name}", name) for name in "abcdefg"] for source in range(2)]
    for parts in divide_together(sources, seed=seed):
        assert all(parts.values())


def test_pictures_of_a_given_split_take_others_along() -> None:
    fixed: dict[Split, list[Question]] = {"test": [_showing("t", "a")], "search": [_showing("s", "b")]}
    for seed in range(9):
        (parts,) = divide_together([[_showing("1", "a", "c"), _showing("2", "c")]], seed=seed, fixed=[fixed])
        assert split_of(parts) == {"1": "test", "2": "test"}
    with pytest.raises(
        QuestionError, match=r"question 1: expected pictures of one split .*, found some of two"
    ):
        divide_together([[_showing("1", "a", "b")]], fixed=[fixed])


def test_texts_that_differ_in_case_and_spacing_stay_together() -> None:
    for number in range(20):
        pair = [asking(1, f"Which  runs {number}?\n"), asking(2, f"which runs {number}?")]
        assert len(set(split_of(assign(pair)).values())) == 1


def test_fractions_are_met_and_the_seed_matters() -> None:
    questions = [asking(number, f"group {number}") for number in range(4000)]
    assigned = assign(questions)
    for split in SPLITS:
        assert len(assigned[split]) / 4000 == pytest.approx(FRACTIONS[split], abs=0.03)
    assert split_of(assign(questions, seed=1)) != split_of(assigned)


def test_a_share_of_one_takes_everything_and_wrong_shares_are_refused() -> None:
    questions = [asking(number, str(number)) for number in range(100)]
    none: dict[Split, float] = dict.fromkeys(SPLITS, 0.0)
    assert len(assign(questions, fractions=none | {"search": 1.0})["search"]) == 100
    wrong_shares: list[dict[Split, float]] = [none, {"search": 1.0}, none | {"search": 2.0, "test": -1.0}]
    for wrong in wrong_shares:
        with pytest.raises(InputError, match=r"fractions: expected non-negative shares of calibration"):
            assign(questions, fractions=wrong)


@pytest.mark.skipif(not REAL.is_dir(), reason="the official ScienceQA files are not here")
def test_copied_test_pictures_of_scienceqa_never_cross_splits() -> None:
    questions = [q for q in scienceqa.load(REAL / "test_llava.jsonl") if q.images]
    contents: dict[bytes, Split] = {}
    for split, members in assign(questions).items():
        for question in members:
            assert question.images
            assert contents.setdefault(question.images[0].read_bytes(), split) == split
    assert len(contents) == 1790
