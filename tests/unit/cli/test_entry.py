"""What the command line says before it does anything."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.cli.entry import parse
from hipp_prune.cli.flags import at_home
from hipp_prune.cli.verbs import VERBS
from hipp_prune.questions.benchmarks import BENCHMARKS


@pytest.mark.parametrize("name", VERBS)
def test_the_table_says_what_the_verb_says(name: str) -> None:
    verb = VERBS[name]
    summary, *_ = (verb.load().__doc__ or "").splitlines()
    assert verb.summary == summary


def test_the_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
        printed = " ".join(capsys.readouterr().out.replace("│", "").split())
        assert all(verb.summary in printed for verb in VERBS.values())


def test_the_help_imports_no_verb_and_nothing_heavy() -> None:
    code = "import sys; from hipp_prune.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "heavy = {'numpy', 'torch', 'transformers', 'rich', 'pydantic'} & set(sys.modules)\n"
    code += "stages = {module for module in sys.modules if module.startswith('hipp_prune.stages')}\n"
    code += "assert not heavy | stages, heavy | stages"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_help_of_a_verb_needs_no_torch() -> None:
    code = f"""
import sys
from hipp_prune.cli import main
for verb in {list(VERBS)}:
    try:
        main([verb, "--help"])
    except SystemExit:
        heavy = {{"torch", "transformers"}} & set(sys.modules)
        assert not heavy, (verb, heavy)
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_misspelt_verb_is_answered_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serach", "run"]) == 2
    assert capsys.readouterr().err == (
        "hipp-prune: there is no verb 'serach'; did you mean `hipp-prune search`?\n"
    )


def test_a_word_like_no_verb_is_answered_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    assert "`hipp-prune --help` lists them all" in capsys.readouterr().err
    assert main(["--force", "search"]) == 2
    assert "a verb comes before its flags, found --force first" in capsys.readouterr().err


@pytest.mark.parametrize("where", [">&-", ">&- 2>&- <&-", "> /dev/full", "--json >&-", "--json > /dev/full"])
def test_where_nothing_can_be_printed_no_traceback_is(where: str) -> None:
    full = "full" in where
    if full and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    line = f"exec {sys.executable} -m hipp_prune --version {where}"
    ended = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == (2 if full else 0)
    assert "Traceback" not in ended.stderr
    assert ("No space left" in ended.stderr) == full


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hipp-prune {version('hipp-prune')}\n"


def test_research_has_a_group_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    everyday, research = capsys.readouterr().out.split(" research options ")
    for flag in ("--method", "--evaluations", "--minutes", "--seed", "--compression", "--s-min", "--r-max"):
        assert flag in everyday
    for flag in ("--kappa", "--warm-up", "--clip", "--gate", "--unit"):
        assert flag in research
        assert flag not in everyday


def test_a_method_brings_its_settings_and_single_flags_change_them() -> None:
    from hipp_prune.cli.entry import parse
    from hipp_prune.cli.search import Search
    from hipp_prune.search.settings import SearchSettings

    command = parse(["search", "run", "--method=grpo", "--groups", "3"])
    assert isinstance(command, Search)
    expected = {**vars(SearchSettings().for_method("grpo")), "groups": 3}
    assert command.settings == SearchSettings(**expected)


def test_quick_stands_for_settings_that_single_flags_change() -> None:
    from hipp_prune.cli.entry import parse
    from hipp_prune.experiments.paper.settings import QUICK as QUICK_PAPER
    from hipp_prune.experiments.paper.verb import Paper
    from hipp_prune.experiments.search_bench.settings import QUICK
    from hipp_prune.experiments.search_bench.verb import BenchSearch

    bench = parse(["bench-search", "--out", "o", "--quick", "--seeds", "4"])
    assert isinstance(bench, BenchSearch)
    assert (bench.settings.budgets, bench.settings.seeds, bench.crew.minutes) == (QUICK.budgets, 4, 14)
    paper = parse(["paper", "--out", "o", "--results", "r", "--quick", "--minutes", "3"])
    assert isinstance(paper, Paper)
    assert (paper.settings, paper.crew.minutes) == (QUICK_PAPER, 3)


def test_one_setting_against_another_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["recover", "ckpt", "--out", "o", "--questions", "toyworld", "--no-head", "--no-norm"]
    assert main([*words, "--no-projector", "--lora-blocks", "0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hipp-prune: nothing is left to train")
    assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["calibrate", "evaluate", "recover"])
def test_help_names_every_benchmark_and_its_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = re.sub(r"[\s│]", "", capsys.readouterr().out)
    for name, benchmark in BENCHMARKS.items():
        assert f"{name}:PATH" in said
        assert all(f"[,{option}=" in said for option in benchmark.source_options)


def test_comments_are_no_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["toy", "--help"])
    assert "noqa" not in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--out=-x", "--out=./-x", "./-x", "pope:./-x"])
def test_a_path_that_begins_with_a_dash_is_taken_for_no_flag(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert at_home(word).endswith(f"{tmp_path}/-x")
    assert at_home("--out=-3") == "--out=-3"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("~/run", "HOME/run"),
        ("~", "HOME"),
        ("--out=~/run", "--out=HOME/run"),
        ("pope:~/POPE,images=~/pictures", "pope:HOME/POPE,images=HOME/pictures"),
        ("--questions=yes-no:~/own", "--questions=yes-no:HOME/own"),
        ("a~/b", "a~/b"),
        ("What is ~/x?", "What is ~/x?"),
        ("~other/run", "~other/run"),
    ],
)
def test_the_home_folder_is_meant_also_where_no_shell_looks(
    monkeypatch: pytest.MonkeyPatch, word: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert at_home(word) == meant.replace("HOME", "/home/me")


def test_the_home_folder_of_a_recipe_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hipp_prune.cli.auto import Auto

    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "~/model"\nquestions = ["pope:~/POPE"]\nout = "~/smaller"\n')
    command = parse(["auto", "--recipe", "~/recipe.toml"])
    assert isinstance(command, Auto)
    assert (command.model, command.out) == (str(tmp_path / "model"), tmp_path / "smaller")
    assert command.questions == (f"pope:{tmp_path}/POPE",)


def test_names_with_line_ends_leave_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "a\nb\x1b[31m\t")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"a\nb\x1b[31m\t" in said


def test_names_that_no_file_of_ours_could_hold_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", os.fsdecode(b"run\xff")]) == 2
    assert r"expected names in UTF-8, found 'run\udcff'" in capsys.readouterr().err
    assert main(["report", "Läufe"]) == 2
    assert "there is no Läufe" in capsys.readouterr().err


def test_a_terminal_of_another_alphabet_is_no_reason_to_stop() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        [sys.executable, "-m", "hipp_prune", "models"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.isascii()


def test_what_is_missing_is_named_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "make"]) == 2
    assert "hipp-prune toy make needs --out" in capsys.readouterr().err
