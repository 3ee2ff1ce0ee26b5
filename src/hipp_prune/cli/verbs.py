"""The table of verbs: what each is for, and where it lies; only the one that is used is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol


class Command(Protocol):
    """A verb with its flags: a frozen dataclass whose fields are the flags and whose docstring is the help.

    A class may have a method ``preset(words)``: the defaults that a flag among the words stands for, which single
    flags then override.
    """

    def run(self) -> object:
        """Does it, prints what came of it and returns that: what ``--json`` prints (``cli.documents``).

        Whatever is heavy is imported here, so that ``--help`` is quick.
        """


@dataclass(frozen=True)
class Verb:
    """Where a verb's class lies."""

    module: str
    name: str
    summary: str
    """The first line of its docstring."""
    shares: bool = False
    """Whether the workers that torchrun starts share its work."""

    def load(self) -> type[Command]:
        """The class of its flags; its module is imported only now, to keep ``--help`` fast."""
        command: type[Command] = getattr(import_module(self.module), self.name)
        return command


VERBS: Mapping[str, Verb] = {
    "quickstart": Verb(
        "hipp_prune.cli.quickstart",
        "Quickstart",
        "See it all on an embedded model in minutes: calibrate, search, query, prune, evaluate, report.",
    ),
    "auto": Verb(
        "hipp_prune.cli.auto",
        "Auto",
        "Make your model smaller by one command: calibrate, search, query, prune, recover, evaluate, report.",
    ),
    "calibrate": Verb(
        "hipp_prune.cli.calibrate",
        "Calibrate",
        "Start a run: measure the dense model (activations, visual sensitivity, gradients).",
        shares=True,
    ),
    "search": Verb(
        "hipp_prune.cli.search",
        "Search",
        "Train the policy: once a model, afterwards every preference is a query of milliseconds.",
        shares=True,
    ),
    "query": Verb(
        "hipp_prune.cli.query",
        "Query",
        "Ask a trained run for the plan of a preference, or for the best plan that is predicted to meet requirements.",
    ),
    "prune": Verb(
        "hipp_prune.cli.prune",
        "Prune",
        "Write the smaller checkpoint that a plan describes; it loads like any other.",
    ),
    "recover": Verb(
        "hipp_prune.cli.recover",
        "Recover",
        "Fine-tune a pruned checkpoint briefly: head, final norm, projector, and LoRA on the last blocks.",
    ),
    "evaluate": Verb(
        "hipp_prune.cli.evaluate",
        "Evaluate",
        "Score a model or a pruned checkpoint officially, or anyone's answers without a model.",
    ),
    "ask": Verb(
        "hipp_prune.cli.ask",
        "Ask",
        "Ask a checkpoint about pictures in your own words, beside the dense model if it is named.",
    ),
    "baseline": Verb(
        "hipp_prune.cli.baseline",
        "PruneBaseline",
        "Prune with a heuristic instead of a search, to the same budget; docs/baselines.md says what each is.",
    ),
    "check": Verb(
        "hipp_prune.cli.check",
        "Check",
        "Compare every file of a run, a comparison or a checkpoint with what was written: sizes and checksums.",
    ),
    "doctor": Verb(
        "hipp_prune.cli.doctor",
        "Doctor",
        "Look at the installation, the machine and a model: what is missing, and how long each stage takes here.",
    ),
    "show": Verb(
        "hipp_prune.cli.show",
        "ShowState",
        "Say what a run, a checkpoint, a plan, a recipe or results are, how far it got, and what comes next.",
    ),
    "questions": Verb(
        "hipp_prune.cli.questions",
        "MakeQuestions",
        "Make question files of annotated pictures: POPE's random, popular and adversarial polls.",
    ),
    "export": Verb(
        "hipp_prune.cli.export",
        "Export",
        "Write a checkpoint for another runtime; docs/serving.md says what each can do.",
    ),
    "push": Verb(
        "hipp_prune.cli.export",
        "Push",
        "Put a checkpoint and its model card on the Hugging Face hub, where from_pretrained finds it by name.",
    ),
    "compare": Verb(
        "hipp_prune.experiments.compare.verb",
        "Compare",
        "Prune models in many ways to one budget, and ask what is left before and after the same recovery.",
    ),
    "bench-search": Verb(
        "hipp_prune.experiments.search_bench.verb",
        "BenchSearch",
        "Compare search methods at equal numbers of evaluations, on held-out questions.",
    ),
    "paper": Verb(
        "hipp_prune.experiments.paper.verb",
        "Paper",
        "Make every table and figure of the paper, and what the paper lacks, on the embedded models or your own.",
    ),
    "photo": Verb(
        "hipp_prune.experiments.photo.verb",
        "Photo",
        "Build a vision-language model on SmolLM2-135M, with questions about pictures that it was not taught.",
    ),
    "damage": Verb(
        "hipp_prune.experiments.damage.verb",
        "MeasureDamage",
        "Measure what pruning costs before any training: accuracy by question file, and KL to the dense model.",
    ),
    "report": Verb(
        "hipp_prune.cli.report",
        "Report",
        "Write RUN/report.html: one page with the table, the curves, the plans, the front and examples.",
    ),
    "explore": Verb(
        "hipp_prune.cli.explore",
        "Explore",
        "Write a page in which one drags a preference and sees the plan at once: offline, one file.",
    ),
    "models": Verb(
        "hipp_prune.cli.models",
        "Models",
        "List the embedded models and the families that are supported, or try one model.",
    ),
    "toy": Verb(
        "hipp_prune.experiments.toy.verb",
        "Toy",
        "Rebuild the embedded data and models from nothing.",
    ),
}
"""Every verb, in the order of the help."""
