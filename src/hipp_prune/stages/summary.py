"""What ``auto`` ends with: the table of the dense and the pruned model, and the lines that use what was made."""

import shlex
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from textwrap import fill

from rich.console import Console

from hipp_prune.checkpoints.configs import read_config_file
from hipp_prune.evaluation.scorecard import Answer, Scorecard
from hipp_prune.plans.plan import Plan
from hipp_prune.report.headline import headline
from hipp_prune.report.tables import print_summary
from hipp_prune.stages.pipeline import Pipeline

_WIDTH = 80
_NAMES = 9
"""Columns for what the lines are for."""
_RIVAL = "wanda-coupled"
"""The baseline that the checkpoint may be compared with: quick, and of the same kind."""


def summarise(
    pipeline: Pipeline, out: Path, plan: Plan, dense: Scorecard, pruned: Scorecard, *, limit: int | None
) -> str:
    """The headline and the table, ``_WIDTH`` columns wide, and lines that can be run as they are printed.

    Args:
        pipeline: of the run.
        out: the checkpoint that was made.
        plan: what it lost.
        dense: scores of the model before.
        pruned: scores of the checkpoint.
        limit: test questions a benchmark, at most, that both were asked.
    """
    text = StringIO()
    text.write(f"{fill(headline(dense, pruned), _WIDTH)}\n")
    print_summary(
        [dense, pruned], pipeline.run.root, Console(file=text, width=_WIDTH, markup=False, emoji=False)
    )
    if (sentence := plan.asked_and_got) is not None:
        text.write(f"{sentence}; preference {plan.preference}\n")
    own_code = "auto_map" in read_config_file(out / "config.json")
    for name, lines in {
        "ask": _ask(pipeline, out, dense, pruned),
        "load": _load(out, own_code=own_code),
        "serve": [_serve(out, own_code=own_code)],
        "compare": _compare(pipeline, out, plan, limit),
        "again": [f"hipp-prune auto --recipe {shlex.quote(str(pipeline.run.recipe))} --force"],
    }.items():
        for number, line in enumerate(lines):
            text.write(f"{'' if number else f'{name}:':<{_NAMES}} {line}\n")
    return text.getvalue()


def commands_in(summary: str) -> list[str]:
    """The commands of ours that a summary ends with, as they are to be typed."""
    lines = [line[_NAMES + 1 :] for line in summary.splitlines()]
    return [line for line in lines if line.startswith("hipp-prune ")]


def _ask(pipeline: Pipeline, out: Path, dense: Scorecard, pruned: Scorecard) -> list[str]:
    """Asks both models about the pictures of one of the test questions, if any shows some.

    A yes/no question that they answer differently is asked again, if there is one; or else another.
    """
    pairs = zip(dense.answers, pruned.answers, strict=True)
    shown = [(before, after) for before, after in pairs if after.images]
    if not shown:
        return []
    _, after = min(shown, key=lambda pair: (not _is_yes_no(pair[1]), pair[0].given == pair[1].given))
    asked = after.prompt.splitlines()[0] if _is_yes_no(after) else "What do you see?"
    words = ["ask", str(out), asked, "--dense", pipeline.model]
    words += [word for image in after.images for word in ("--image", image)]
    words += ["--together"] * (len(after.images) > 1)
    return [_command(pipeline, words)]


def _is_yes_no(answer: Answer) -> bool:
    return answer.gold in ("Yes", "No")


def _load(out: Path, *, own_code: bool) -> list[str]:
    trust = ", trust_remote_code=True" if own_code else ""
    return [
        "from transformers import AutoModelForImageTextToText",
        f"model = AutoModelForImageTextToText.from_pretrained({str(out)!r}{trust})",
    ]


def _serve(out: Path, *, own_code: bool) -> str:
    flags = " --model-impl transformers --trust-remote-code" if own_code else ""
    return f"vllm serve {shlex.quote(str(out))}{flags}"


def _compare(pipeline: Pipeline, out: Path, plan: Plan, limit: int | None) -> list[str]:
    """Prunes as much with a heuristic, asks it the same, and puts it into the same report."""
    run, rival = str(pipeline.run.root), f"{out}-rival"
    asked = ["--questions", *pipeline.questions, "--seed", str(pipeline.seed)]
    asked += [] if limit is None else ["--limit", str(limit)]
    asked += ["--skip-bad"] if pipeline.skip_bad else []
    made = ["baseline", "--run", run, "--method", _RIVAL, "--sparsity", f"{plan.ledger.mlp:.4f}"]
    return [
        _command(pipeline, [*made, "--out", rival]),
        _command(pipeline, ["evaluate", "--model", rival, *asked, "--label", _RIVAL, "--run", run]),
        shlex.join(["hipp-prune", "report", run]),
    ]


def _command(pipeline: Pipeline, words: Sequence[str]) -> str:
    """A command that opens models, as the pipeline opened them."""
    trust = ["--trust-remote-code"] if pipeline.loading.trust_remote_code else []
    return shlex.join(["hipp-prune", *words, *trust])
