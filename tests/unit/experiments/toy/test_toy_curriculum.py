"""What is taught is what the official files ask, of the training split only."""

from itertools import islice
from pathlib import Path

from toy_rows import make_packer, some_gallery

from hipp_prune.experiments.toy.curriculum import TASKS, Teacher, prompt
from hipp_prune.experiments.toy.families import LLAVA
from hipp_prune.questions import toyworld
from hipp_prune.questions.toyworld import exam

TEXTS = (*exam.plain_items(), *exam.hinted_items(), *exam.people_items())


def test_rows_depend_on_the_seed_only() -> None:
    packer, taught = make_packer(LLAVA), some_gallery()
    first, again, other = (Teacher(packer, "train", seed) for seed in (0, 0, 1))
    for task in TASKS:
        row = first.row(task, taught)
        assert row == again.row(task, taught)
        assert row != other.row(task, taught)


def test_claims_are_judged_at_the_word_they_end_with() -> None:
    packer, taught = make_packer(LLAVA), some_gallery()
    ids = packer.tokenizer.get_vocab()
    words = {token: word for word, token in ids.items()}
    teacher = Teacher(packer, "train", 0)
    for task in TASKS:
        for asked in teacher.row(task, taught).asked:
            answer = asked.ids[-1]
            verdicts = [words[verdict] for _, verdict in asked.claims]
            if task == "polls":
                assert verdicts == [words[answer]]
            else:
                assert verdicts.count("Yes") == 1
                assert words[answer] == "ABCDE"[verdicts.index("Yes")]
                letters = [words[asked.ids[offset - 1]] for offset, _ in asked.claims]
                assert letters == [f"{letter}." for letter in "ABCDE"[: len(verdicts)]]


def test_prompts_are_worded_as_the_loader_words_them(tmp_path: Path) -> None:
    root = toyworld.write(tmp_path / "world")
    loaded = [q for q in toyworld.load(root, "calibration") if q.benchmark == "scienceqa" and not q.images]
    own = {f"{item.question}\n{item.hint}": item for item in TEXTS}
    for question in islice(loaded, 30):
        item = own[question.group]
        options = tuple(line[3:] for line in question.prompt.split("\n") if line[1:3] == ". ")
        assert prompt(item, exam.Choices(options=options, answer=question.gold)) == question.prompt
        assert options[question.gold] in item.right


def test_texts_of_other_splits_are_never_taught() -> None:
    packer = make_packer(LLAVA)
    teacher = Teacher(packer, "train", 0)
    for _ in range(20):
        items = [*teacher._word_items(), *teacher._people_items()]
        assert {exam.split_of(item) for item in items} == {"train"}
