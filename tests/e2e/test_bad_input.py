"""What bad input gets: one clear sentence, and nothing lost."""

import json
import shutil
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.search.archive import Archive, Evaluation
from tests.e2e.conftest import SEARCH, Benchmarks, Finished, Refused


class Killed(BaseException):
    """What a kill is to the code."""


def _calibrate(model: object, spec: str, out: Path) -> list[object]:
    return ["calibrate", "--model", model, "--questions", spec, "--out", out, "--count", "4"]


class TestQuestions:
    @pytest.fixture
    def pope(self, tmp_path: Path, benchmarks: Benchmarks) -> Path:
        return Path(shutil.copytree(benchmarks.pope, tmp_path / "pope"))

    def _damage(self, pope: Path, line: str) -> None:
        path = pope / "coco_pope_popular.json"
        lines = path.read_text().splitlines()
        lines[4] = line
        path.write_text("\n".join(lines) + "\n")

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ('{"question_id": 5, "image": "0.png"', "JSON"),
            ('{"question_id": 5, "image": "0.png", "text": "Is there a cup in the image?"}', "label"),
            (
                '{"question_id": 5, "image": "0.png", "text": "Is there a cup in the image?", "label": "maybe"}',
                "maybe",
            ),
        ],
    )
    def test_damaged_pope_line_is_named(
        self, tmp_path: Path, pope: Path, llava: Path, refused: Refused, line: str, expected: str
    ) -> None:
        self._damage(pope, line)
        message = refused(_calibrate(llava, f"pope:{pope}", tmp_path / "run"))
        assert "coco_pope_popular.json" in message
        assert "5" in message
        assert expected in message

    def test_missing_image_is_named(self, tmp_path: Path, pope: Path, llava: Path, refused: Refused) -> None:
        for image in (pope / "images").iterdir():
            image.unlink()
        message = refused(_calibrate(llava, f"pope:{pope}", tmp_path / "run"))
        assert ".png" in message

    def test_truncated_image_is_named_and_skip_bad_counts_it(
        self, tmp_path: Path, pope: Path, llava: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for image in sorted((pope / "images").iterdir())[::2]:
            image.write_bytes(image.read_bytes()[:60])
        spec = f"pope:{pope}"
        assert ".png" in refused(_calibrate(llava, spec, tmp_path / "run"))
        arguments = [*_calibrate(llava, spec, tmp_path / "other"), "--skip-bad"]
        assert main([str(argument) for argument in arguments]) == 0
        assert ".png" in capsys.readouterr().err.replace("\n", "")

    def test_pid_without_problem_is_named(
        self, tmp_path: Path, benchmarks: Benchmarks, llava: Path, refused: Refused
    ) -> None:
        root = Path(shutil.copytree(benchmarks.scienceqa, tmp_path / "sqa"))
        problems = json.loads((root / "problems.json").read_text())
        del problems["7"]
        (root / "problems.json").write_text(json.dumps(problems))
        message = refused(_calibrate(llava, f"scienceqa:{root}", tmp_path / "run"))
        assert "7" in message
        assert "problems.json" in message


class TestPreferences:
    @pytest.mark.parametrize("text", ["-1,0,1", "1,2", "a,b,c", "0,0,0", "1,nan,0"])
    def test_no_point_of_the_simplex_is_refused(
        self, finished: Finished, refused: Refused, text: str
    ) -> None:
        message = refused(["query", finished.run, f"--preference={text}"])
        assert "preference" in message

    def test_sparsity_beyond_the_box_is_refused(self, finished: Finished, refused: Refused) -> None:
        message = refused(["query", finished.run, "--preference", "1,1,1", "--sparsity", "0.95"])
        assert "r_max" in message

    def test_negative_sparsity_is_refused(self, finished: Finished, refused: Refused) -> None:
        assert "sparsity" in refused(["query", finished.run, "--preference", "1,1,1", "--sparsity=-0.1"])


class TestModelsAndPlans:
    def test_plan_of_another_architecture(
        self, tmp_path: Path, finished: Finished, qwen: Path, refused: Refused
    ) -> None:
        message = refused(["prune", "--model", qwen, "--plan", finished.plan, "--out", tmp_path / "out"])
        assert "llava" in message
        assert not (tmp_path / "out").exists()

    def test_plan_of_other_weights(self, tmp_path: Path, finished: Finished, refused: Refused) -> None:
        from tests.tiny import tiny_llava

        other = tiny_llava(tmp_path, blocks=3, seed=9)
        message = refused(["prune", "--model", other, "--plan", finished.plan, "--out", tmp_path / "out"])
        assert "fingerprint" in message

    def test_unsupported_model_says_what_it_lacks(
        self, tmp_path: Path, benchmarks: Benchmarks, refused: Refused
    ) -> None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text('{"model_type": "gpt2"}')
        message = refused(_calibrate(tmp_path / "model", benchmarks.specs[0], tmp_path / "run"))
        assert "gpt2" in message

    def test_existing_output_is_kept_without_force(
        self, tmp_path: Path, finished: Finished, refused: Refused
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "precious").write_text("mine")
        message = refused(["prune", "--model", finished.model, "--plan", finished.plan, "--out", out])
        assert "--force" in message
        assert (out / "precious").read_text() == "mine"
        spec = finished.benchmarks.specs[0]
        assert "--force" in refused(_calibrate(finished.model, spec, finished.run))


class TestResults:
    def test_no_question_is_asked_for_what_cannot_be_written(
        self,
        tmp_path: Path,
        finished: Finished,
        llava: Path,
        refused: Refused,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("hipp_prune.stages.evaluate.evaluate_model", None)
        asked = ["--questions", *finished.benchmarks.specs]
        assert "has no place for scores" in refused(["evaluate", "--model", llava, *asked, "--card"])
        answers = Path(shutil.copy(finished.results, tmp_path / "answers.json"))
        before = answers.read_bytes()
        again = ["evaluate", "--answers", answers, *asked, "--out", answers, "--force"]
        assert "is what is read, and would be lost" in refused(again)
        assert answers.read_bytes() == before

    def test_a_run_takes_no_scores_of_another_model(
        self, finished: Finished, qwen: Path, refused: Refused
    ) -> None:
        asked = ["--questions", finished.benchmarks.specs[0], "--limit", "1"]
        said = refused(["evaluate", "--model", qwen, *asked, "--run", finished.run])
        assert "neither that model nor pruned from it" in said
        assert not (finished.run / "results" / "qwen2_5_vl.json").exists()


class TestRuns:
    def test_empty_run_directory(self, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "run").mkdir()
        assert "calibrate" in refused(["search", tmp_path / "run"])

    def test_half_written_run_directory(self, tmp_path: Path, finished: Finished, refused: Refused) -> None:
        run = Path(shutil.copytree(finished.run, tmp_path / "run"))
        (run / "calibration.safetensors").write_bytes(b"\0" * 40)
        assert "calibrat" in refused(["search", run, *SEARCH])
        (run / "search" / "planner.safetensors").unlink()
        assert "hipp-prune search" in refused(["query", run, "--preference", "1,1,1"])
        (run / "run.json").write_text('{"model": ')
        assert "run.json" in refused(["search", run, *SEARCH])

    def test_other_settings_are_refused_without_force(self, finished: Finished, refused: Refused) -> None:
        message = refused(["search", finished.run, *SEARCH, "--minibatch", "10"])
        assert "minibatch" in message
        assert "--force" in message


class TestInterruption:
    def test_killed_search_goes_on_and_evaluates_nothing_twice(
        self, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed within a process; ``tests.torture`` kills processes."""
        run = tmp_path / "run"
        shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("search", "cache"))
        archive = run / "search" / "archive.jsonl"
        add = Archive.add

        def killed(self: Archive, evaluation: Evaluation) -> None:
            add(self, evaluation)
            if len(self) == 7:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Archive, "add", killed)
            with pytest.raises(Killed):
                main(["search", str(run), *SEARCH])
        before = archive.read_bytes()
        assert before.count(b"\n") == 7
        archive.write_bytes(before + b'{"kept": [1, 2')
        assert main(["search", str(run), *SEARCH]) == 0
        after = archive.read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
        assert after.startswith(whole)
        plans = [(tuple(e["kept"]), e["minibatch"]) for e in map(json.loads, after.splitlines())]
        uninterrupted = (finished.run / "search" / "archive.jsonl").read_bytes()
        expected = [(tuple(e["kept"]), e["minibatch"]) for e in map(json.loads, uninterrupted.splitlines())]
        assert plans == expected
