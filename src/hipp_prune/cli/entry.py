"""Parses the command line, runs a subcommand, and turns what goes wrong into one sentence."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro
from tyro.conf import subcommand

from hipp_prune import distributed
from hipp_prune.cli import baseline, commands, export, extras, recover
from hipp_prune.errors import HippPruneError, InputError
from hipp_prune.experiments.compare import verb as compare
from hipp_prune.experiments.paper import verb as paper
from hipp_prune.search.settings import METHODS, SearchSettings

DESCRIPTION = """Make a vision-language model smaller without making it hallucinate.

Start here: hipp-prune quickstart. With your own model: calibrate, search, query, prune, evaluate, report.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: without the program's name; ``sys.argv``'s by default.

    Returns:
        Exit status: 0, 2 for an error the user can mend, 130 if interrupted.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    words = list(sys.argv[1:] if arguments is None else arguments)
    command: Any = tyro.cli(
        _subcommands(words),
        prog="hipp-prune",
        description=DESCRIPTION,
        args=words or ["--help"],
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
    )
    try:
        with distributed.workers():
            _check_launch(command)
            command.run()
    except HippPruneError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing already computed is lost, run the same command again", 130)
    return 0


def _check_launch(command: Any) -> None:
    """Refuses several workers where one does all the work."""
    shared = (commands.Calibrate, commands.Search)
    if distributed.launched() > 1 and not isinstance(command, shared):
        raise InputError(
            "only calibrate and search share their work among the workers that torchrun starts; start this command "
            "without torchrun"
        )


def _fail(sentence: str, status: int) -> int:
    """Says what went wrong, once: of several workers the first one speaks."""
    if distributed.speaks():
        sys.stderr.write(f"hipp-prune: {sentence}\n")
    return status


def _subcommands(words: Sequence[str]) -> Any:
    """The union of subcommands; a method's settings become the defaults that single flags then override."""
    method = _value_of("--method", words)
    config = SearchSettings().for_method(method) if method in METHODS else SearchSettings()
    search = commands.Search(run_directory=tyro.MISSING, config=config)
    return Union[  # noqa: UP007
        Annotated[extras.Quickstart, subcommand("quickstart", prefix_name=False)],
        Annotated[commands.Calibrate, subcommand("calibrate", prefix_name=False)],
        Annotated[commands.Search, subcommand("search", prefix_name=False, default=search)],
        Annotated[commands.Query, subcommand("query", prefix_name=False)],
        Annotated[commands.Prune, subcommand("prune", prefix_name=False)],
        Annotated[recover.Recover, subcommand("recover", prefix_name=False)],
        Annotated[commands.Evaluate, subcommand("evaluate", prefix_name=False)],
        Annotated[baseline.PruneBaseline, subcommand("baseline", prefix_name=False)],
        Annotated[export.Export, subcommand("export", prefix_name=False)],
        Annotated[export.Push, subcommand("push", prefix_name=False)],
        Annotated[compare.Compare, subcommand("compare", prefix_name=False)],
        Annotated[extras.BenchSearch, subcommand("bench-search", prefix_name=False)],
        Annotated[paper.Paper, subcommand("paper", prefix_name=False)],
        Annotated[commands.Report, subcommand("report", prefix_name=False)],
        Annotated[extras.Models, subcommand("models", prefix_name=False)],
        Annotated[extras.Toy, subcommand("toy", prefix_name=False)],
    ]


def _value_of(flag: str, words: Sequence[str]) -> Any:
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    return None
