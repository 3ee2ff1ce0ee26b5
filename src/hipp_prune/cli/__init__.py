"""The command line: one subcommand a stage, each a thin caller of ``hipp_prune.api``."""

from hipp_prune.cli.entry import main

__all__ = ["main"]
