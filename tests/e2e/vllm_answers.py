"""What vLLM says to prompts with pictures, how surely and how fast: asked here, answered by the Python that has vLLM.

Run: python vllm_answers.py ASKED.json ANSWERS.npz, which is what ``ask`` does.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLUGINS = {"transformers": "", "vllm": "hipp_prune"}
"""What vLLM may load for each of its implementations: its transformers backend needs nothing of ours."""


@dataclass(frozen=True)
class Answers:
    """To all prompts, in their order."""

    prompts: list[list[int]]
    """Their ids as vLLM cut them."""
    tokens: NDArray[np.int64]
    """The most probable ones, [prompts, tokens]."""
    logprobs: NDArray[np.float32]
    """[prompts, tokens, vocabulary]."""
    seconds: float
    """To generate them, log-probabilities left out."""
    memory: float
    """Bytes that vLLM's processes held at the end, 1 GiB of cache included."""


def environment(impl: str, folder: Path) -> dict[str, str]:
    """Variables for vLLM on one thread, with 1 GiB of cache, without the hub; ``folder`` is for what it leaves."""
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_PLUGINS": PLUGINS[impl],
    }


def ask(
    python: str,
    checkpoint: Path,
    impl: str,
    prompts: Sequence[tuple[str, Path]],
    *,
    tokens: int,
    dtype: str = "float32",
) -> Answers:
    """Starts vLLM on one thread and has it go on after each prompt, whatever it says.

    Args:
        python: the interpreter of an environment with vLLM.
        checkpoint: what to serve.
        impl: ``vllm``, its own models with our plugin, or ``transformers`` without.
        prompts: rendered texts, each with a picture file.
        tokens: to generate for each.
        dtype: what is computed in.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        stated = [(text, str(path)) for text, path in prompts]
        request = {
            "checkpoint": str(checkpoint),
            "impl": impl,
            "tokens": tokens,
            "prompts": stated,
            "dtype": dtype,
        }
        (folder / "asked.json").write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [python, __file__, str(folder / "asked.json"), str(folder / "answers.npz")],
            env=environment(impl, folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        with np.load(folder / "answers.npz") as stored:
            return Answers(
                prompts=[stored[f"prompt_{index}"].tolist() for index in range(len(prompts))],
                tokens=stored["tokens"],
                logprobs=stored["logprobs"],
                seconds=float(stored["seconds"]),
                memory=float(stored["memory"]),
            )


def main(asked: Path, answers: Path) -> None:
    """Answers one request; runs where vLLM is."""
    from PIL import Image
    from vllm import LLM, SamplingParams

    request: dict[str, Any] = json.loads(asked.read_text(encoding="utf-8"))
    model = LLM(
        request["checkpoint"],
        model_impl=request["impl"],
        trust_remote_code=request["impl"] == "transformers",
        dtype=request["dtype"],
        enforce_eager=True,
        max_model_len=256,
        max_logprobs=-1,
        enable_prefix_caching=False,
        limit_mm_per_prompt={"image": 1},
    )
    prompts = []
    for text, path in request["prompts"]:
        with Image.open(path) as picture:
            prompts.append({"prompt": text, "multi_modal_data": {"image": picture.convert("RGB")}})
    sampling = {"temperature": 0.0, "max_tokens": request["tokens"], "ignore_eos": True}
    model.generate(prompts, SamplingParams(**sampling))
    start = time.perf_counter()
    model.generate(prompts, SamplingParams(**sampling))
    seconds = time.perf_counter() - start
    outputs = model.generate(prompts, SamplingParams(**sampling, logprobs=-1))
    np.savez(
        answers,
        tokens=np.array([output.outputs[0].token_ids for output in outputs]),
        logprobs=np.array(
            [[by_id(step) for step in output.outputs[0].logprobs] for output in outputs], np.float32
        ),
        seconds=seconds,
        memory=memory(),
        **{f"prompt_{index}": np.array(output.prompt_token_ids) for index, output in enumerate(outputs)},
    )


def by_id(step: dict[int, Any]) -> list[float]:
    """Log-probabilities of the vocabulary."""
    return [step[token].logprob for token in range(len(step))]


def memory() -> int:
    """Bytes in use by this process and those it started."""
    import psutil

    own = psutil.Process()
    return sum(process.memory_info().rss for process in (own, *own.children(recursive=True)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
