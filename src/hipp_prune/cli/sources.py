"""The flag ``--questions``: what may be asked, as the table of benchmarks has it."""

from typing import Annotated

import tyro

from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.own.data_sets import HUB
from hipp_prune.questions.own.places import ENDINGS
from hipp_prune.questions.specs import PHOTOS, TOYWORLD


def _forms() -> str:
    """What a source looks like: ``toyworld``, ``pope:PATH[,images=PATH]`` and so on."""
    options = {"images": "images=PATH", "asked": "asked=PATH", "split": "split=NAME"}
    named = (
        f"{name}:PATH" + "".join(f"[,{options.get(each, f'{each}=…')}]" for each in benchmark.source_options)
        for name, benchmark in BENCHMARKS.items()
    )
    own = f"a table of your own (FILE {ENDINGS}, FOLDER or {HUB}OWNER/NAME)"
    return ", ".join((own, f"{PHOTOS}:FOLDER[,prompt=…]", TOYWORLD, *named))


SOURCES = f"One or more of {_forms()} (docs/benchmarks.md)."
"""What ``--help`` says of it."""

Sources = Annotated[tuple[str, ...], tyro.conf.arg(help=SOURCES)]
"""How a command declares it."""
