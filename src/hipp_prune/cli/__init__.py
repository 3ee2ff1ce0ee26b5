"""The command line: a module a verb, which parses, calls one stage and prints what came of it.

In: words. Out: lines on a terminal and an exit status. What may be changed here alone: what a verb is called and says;
its flags are the settings of its stage.
"""

from hipp_prune.cli.entry import main

__all__ = ["main"]
