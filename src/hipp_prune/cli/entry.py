"""Parses the command line, runs a subcommand, and turns what goes wrong into one sentence."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro
from tyro.conf import subcommand

from hipp_prune.cli import commands
from hipp_prune.errors import HippPruneError
from hipp_prune.search.config import METHODS, SearchConfig

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
        command.run()
    except HippPruneError as error:
        sys.stderr.write(f"hipp-prune: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(
            "hipp-prune: interrupted; nothing already computed is lost, run the same command again\n"
        )
        return 130
    return 0


def _subcommands(words: Sequence[str]) -> Any:
    """The union of subcommands; a method's settings become the defaults that single flags then override."""
    method = _value_of("--method", words)
    config = SearchConfig().for_method(method) if method in METHODS else SearchConfig()
    search = commands.Search(run_directory=tyro.MISSING, config=config)
    return Union[  # noqa: UP007
        Annotated[commands.Quickstart, subcommand("quickstart", prefix_name=False)],
        Annotated[commands.Calibrate, subcommand("calibrate", prefix_name=False)],
        Annotated[commands.Search, subcommand("search", prefix_name=False, default=search)],
        Annotated[commands.Query, subcommand("query", prefix_name=False)],
        Annotated[commands.Prune, subcommand("prune", prefix_name=False)],
        Annotated[commands.Evaluate, subcommand("evaluate", prefix_name=False)],
        Annotated[commands.Report, subcommand("report", prefix_name=False)],
        Annotated[commands.Models, subcommand("models", prefix_name=False)],
        Annotated[commands.Toy, subcommand("toy", prefix_name=False)],
    ]


def _value_of(flag: str, words: Sequence[str]) -> Any:
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    return None
