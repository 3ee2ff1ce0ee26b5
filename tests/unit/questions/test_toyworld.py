"""The embedded world: repeatable, disjoint splits, official files, unambiguous questions."""

import hashlib
import json
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import pytest

from hipp_prune.errors import OutputExistsError, QuestionError
from hipp_prune.questions import toyworld
from hipp_prune.questions.benchmarks.pope import SUBSETS
from hipp_prune.questions.question import Question
from hipp_prune.questions.toyworld import drawing, exam, files, polling
from hipp_prune.questions.toyworld.icons import ICONS
from hipp_prune.questions.toyworld.people import FIRST_NAMES, LAST_NAMES, PEOPLE, VALUES
from hipp_prune.questions.toyworld.scenes import FEWEST, GRID, MOST, rng_for, scenes
from hipp_prune.questions.toyworld.things import PLACES, THING_BY_NAME, THINGS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toyworld.write(tmp_path_factory.mktemp("world") / "toyworld")


@pytest.fixture(scope="module")
def questions(root: Path) -> dict[str, list[Question]]:
    return {split: toyworld.load(root, split) for split in toyworld.SIZES}


def _digest(question: Question) -> str:
    content = question.images[0].read_bytes() if question.images else question.group.encode()
    return hashlib.sha256(content).hexdigest()


def test_every_thing_has_an_icon_a_place_and_a_name_of_its_own() -> None:
    assert set(ICONS) == set(THING_BY_NAME)
    assert len(THING_BY_NAME) == len(THINGS) == 30
    assert Counter(thing.place for thing in THINGS) == dict.fromkeys(PLACES, 5)


def test_scenes_depend_on_seed_and_split_only_and_pictures_on_the_scene_only() -> None:
    first, again = (list(islice(scenes(0, "test"), 20)) for _ in range(2))
    assert first == again
    assert not set(first) & set(islice(scenes(0, "search"), 20))
    assert not set(first) & set(islice(scenes(1, "test"), 20))
    assert drawing.draw(first[0]).tobytes() == drawing.draw(again[0]).tobytes()
    assert drawing.draw(first[0]).size == (drawing.SIDE, drawing.SIDE)


def test_a_scene_holds_different_things_and_names_its_place_elsewhere() -> None:
    for scene in islice(scenes(3, "test"), 100):
        assert FEWEST <= len(scene.names) <= MOST
        assert len(set(scene.names)) == len(scene.names)
        assert len(scene.words) == GRID**2
        assert set(scene.words) == {*scene.names, scene.place}


def test_things_of_one_place_appear_together() -> None:
    drawn = list(islice(scenes(0, "train"), 500))
    native = [THING_BY_NAME[name].place == scene.place for scene in drawn for name in scene.names]
    assert sum(native) / len(native) > 0.6


def test_polls_follow_the_official_procedure() -> None:
    drawn = list(islice(scenes(0, "test"), 60))
    orders = polling.rankings(drawn)
    frequency = Counter(name for scene in drawn for name in scene.names)
    for scene in drawn:
        for subset in SUBSETS:
            asked = list(polling.polls(scene, subset, orders, rng_for("polls")))
            assert [poll.present for poll in asked] == [True, False] * polling.POSITIVES
            assert len({poll.thing for poll in asked}) == len(asked)
            assert all((poll.thing in scene.names) == poll.present for poll in asked)
        popular = [
            poll.thing for poll in polling.polls(scene, "popular", orders, rng_for(1)) if not poll.present
        ]
        least = min(frequency[name] for name in popular)
        left_out = set(THING_BY_NAME) - set(scene.names) - set(popular)
        assert all(frequency[name] <= least for name in left_out)


def test_official_files_read_back_with_the_promised_sizes(questions: dict[str, list[Question]]) -> None:
    for split, size in toyworld.SIZES.items():
        counts = Counter((q.benchmark, q.subset if q.benchmark == "pope" else "") for q in questions[split])
        assert counts.pop(("scienceqa", "")) == size.problems
        assert counts == {("pope", subset): 6 * size.scenes for subset in SUBSETS}
        polled = [q for q in questions[split] if q.benchmark == "pope"]
        assert sum(q.answer == "Yes" for q in polled) * 2 == len(polled)


def test_no_picture_and_no_text_is_in_two_splits(questions: dict[str, list[Question]]) -> None:
    owner: dict[str, str] = {}
    for split, some in questions.items():
        for digest in {_digest(question) for question in some}:
            assert owner.setdefault(digest, split) == split


def test_no_text_and_no_picture_is_among_those_the_models_are_trained_on(
    questions: dict[str, list[Question]],
) -> None:
    held_out = {q.group for some in questions.values() for q in some if not q.images}
    items = [*exam.plain_items(), *exam.hinted_items(), *exam.people_items()]
    taught = {f"{item.question}\n{item.hint}" for item in items if exam.split_of(item) == "train"}
    assert taught
    assert not held_out & taught
    pictures = {_digest(q) for some in questions.values() for q in some if q.benchmark == "pope"}
    drawn = {drawing.draw(scene).tobytes() for scene in islice(scenes(0, "train"), 100)}
    shown = {
        drawing.draw(scene).tobytes() for split in toyworld.SIZES for scene in islice(scenes(0, split), 40)
    }
    assert len(pictures) == sum(size.scenes for size in toyworld.SIZES.values())
    assert not drawn & shown


def test_identifiers_are_unique_over_all_splits(questions: dict[str, list[Question]]) -> None:
    ids = [question.id for some in questions.values() for question in some]
    assert len(set(ids)) == len(ids)


def test_every_sort_of_multiple_choice_is_there_and_letters_are_balanced(
    questions: dict[str, list[Question]],
) -> None:
    problems = [question for question in questions["test"] if question.benchmark == "scienceqa"]
    tags = Counter(tag for question in problems for tag in question.tags)
    assert min(tags[tag] for tag in ("IMG", "TXT", "NO", "G1-6", "G7-12")) >= 100
    assert {question.subset for question in problems} == {
        "natural science",
        "social science",
        "language science",
    }
    assert {len(question.answers) for question in problems} == {2, 3, 4, 5}
    chance = sum(question.chance for question in problems)
    first = sum(question.gold == 0 for question in problems)
    assert abs(first - chance) < 4 * len(problems) ** 0.5 / 2


def test_exactly_one_option_is_right() -> None:
    rng = rng_for("options")
    stream = [
        item for scene in islice(scenes(0, "test"), 50) for item in islice(exam.picture_items(scene, rng), 8)
    ]
    for item in [*exam.plain_items(), *exam.people_items(), *islice(exam.hinted_items(), 2000), *stream]:
        assert item.right
        assert item.wrong
        assert not set(item.right) & set(item.wrong), item
        choices = exam.with_choices(item, rng)
        assert [option in item.right for option in choices.options].count(True) == 1
        assert choices.options[choices.answer] in item.right


def test_neither_name_of_a_person_tells_their_facts() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE) == len(FIRST_NAMES) * len(LAST_NAMES)
    for fact, values in VALUES.items():
        for part in (0, 1):
            known = defaultdict(Counter)
            for person in PEOPLE:
                known[person.name.split()[part]][getattr(person, fact)] += 1
            best = sum(counts.most_common(1)[0][1] for counts in known.values()) / len(PEOPLE)
            assert best < 0.5, (fact, len(values))


def test_the_shares_of_the_splits_add_up_and_cover_the_questions() -> None:
    assert sum(exam.SHARES.values()) < 1
    assert set(exam.SHARES) == set(toyworld.SIZES)


def test_writing_again_keeps_the_world_and_another_seed_is_refused(root: Path) -> None:
    before = (root / "test/pope/coco_pope_random.json").stat().st_mtime_ns
    assert toyworld.write(root) == toyworld.write(root, seed=0) == root
    assert (root / "test/pope/coco_pope_random.json").stat().st_mtime_ns == before
    with pytest.raises(OutputExistsError, match="seed 0; choose another folder"):
        toyworld.write(root, seed=1)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"world\.json does not exist; choose a new folder"):
        toyworld.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files, "_write_split", fail)
    with pytest.raises(Exception, match="disk full"):
        toyworld.write(tmp_path / "world")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_split_is_an_error(root: Path) -> None:
    with pytest.raises(QuestionError, match="expected one of the splits calibration"):
        toyworld.load(root, "train")


def test_records_have_every_official_field(root: Path) -> None:
    problems = json.loads((root / "search/scienceqa/problems.json").read_text())
    fields = {
        *("question", "choices", "answer", "hint", "image", "task", "grade", "subject", "topic"),
        *("category", "skill", "lecture", "solution", "split"),
    }
    assert all(set(problem) == fields for problem in problems.values())
    splits = json.loads((root / "search/scienceqa/pid_splits.json").read_text())
    assert splits["test"] == list(problems)
