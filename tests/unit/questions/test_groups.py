"""Questions that share a picture are of one group, which intervals and held-out parts take whole."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.calibration.held_out import held_out_groups
from hipp_prune.questions.groups import connected, merge_groups
from hipp_prune.questions.survey import survey
from tests.unit.questions.made import pope


@given(names=st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=20))
def test_members_that_share_a_name_are_connected_and_no_others(names: list[list[int]]) -> None:
    firsts = connected(names)
    classes = [{place} for place in range(len(names))]
    for one in range(len(names)):
        for other in range(len(names)):
            if set(names[one]) & set(names[other]):
                joined = classes[one] | classes[other]
                for place in joined:
                    classes[place] = joined
    assert firsts == [min(each) for each in classes]


def test_a_picture_is_in_one_group_alone_and_groups_without_a_common_one_stay() -> None:
    apart = [replace(pope(i, 0, image=Path(f"{i}.png")), group=f"{i}.png") for i in range(3)]
    assert merge_groups(apart) == apart
    both = replace(pope(3, 0), images=(Path("0.png"), Path("2.png")), group="0.png|2.png")
    named = replace(pope(4, 0), images=(Path("2.png"),), group="named")
    merged = merge_groups([*apart, both, named])
    assert [question.group for question in merged] == ["0.png", "1.png", "0.png", "0.png", "0.png"]
    assert [replace(each, group="") for each in merged] == [
        replace(each, group="") for each in (*apart, both, named)
    ]


def test_a_shared_picture_is_held_out_with_all_its_questions_and_widens_what_is_known() -> None:
    """Sixteen questions in eight pairs of pictures, the next pair sharing one: eight clusters, or one."""
    asked = [
        replace(pope(i, i % 2), images=(Path(f"{i}.png"), Path(f"{i + 1}.png")), group=f"{i}.png|{i + 1}.png")
        for i in range(16)
    ]
    merged = merge_groups(asked)
    assert len(held_out_groups(asked)) == 2
    assert not held_out_groups(merged)
    (loose,), (tight,) = survey({"test": merged}).counts, survey({"test": asked}).counts
    assert loose.half_width > tight.half_width
