"""Make a vision-language model smaller without making it hallucinate.

The story of a model, top to bottom; a room uses only rooms below it:

cli          one command a stage: parse, call the stage, print its result
api          the public face: names in, runs, plans, checkpoints and results out
experiments  comparisons, the paper's tables, the embedded models' training: with their pages and verbs, behind an extra
stages       calibrate, search, query, prune, recover, evaluate, export, report: each stage once
report       what people read: the page of a run, and what a terminal shows
export       other runtimes: padded, GGUF, ONNX, vLLM, lmms-eval, the hub
recovery     a short fine-tuning of a pruned checkpoint (Section 2.7)
baselines    what others would have pruned: one file a method
search       one loop; its searchers, its policy (Eq. 7–8, 16–18), and what it answers queries with
evaluation   ask a model, score its answers officially, time it
objectives   what a plan is worth: returns (Eq. 11–12) and stability (Eq. 13–15), pure functions
checkpoints  file surgery: a smaller checkpoint from a plan, its card and its ledger
pruning      a model in memory: importance (Eq. 10), masks (Eq. 9), prefix views
calibration  statistics of the dense model: activations, gradients, visual sensitivity (Eq. 5–6)
models       the adapter through which everything reaches a model, and the families, one file each
questions    one type of question, its pictures and splits, and the benchmarks, one module each
plans        preference, space, allocation, cost tables and the plan itself (no torch)
files        the run directory, and files read strictly and written whole
distributed  many workers, one program
errors       every error a caller may catch
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hipp_prune.stages.in_memory import prune_in_memory as prune
    from hipp_prune.stages.one_call import auto_in_one_call as auto

__all__ = ["auto", "prune"]


def __getattr__(name: str) -> Any:
    """``auto`` and ``prune``, imported when first asked for: the package itself is there at once, without torch."""
    if name == "auto":
        from hipp_prune.stages.one_call import auto_in_one_call

        return auto_in_one_call
    if name == "prune":
        from hipp_prune.stages.in_memory import prune_in_memory

        return prune_in_memory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
