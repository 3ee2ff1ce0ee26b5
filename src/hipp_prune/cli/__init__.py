"""The command line: a module a verb, which parses, calls one stage and prints what came of it."""

from hipp_prune.cli.entry import main

__all__ = ["main"]
