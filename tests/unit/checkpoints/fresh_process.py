"""Loads checkpoints as somebody without this package would, and saves what they compute in 32 bits.

An empty tensor beside it has the type of their weights.

Run as a script: ``fresh_process.py JOBS`` with a JSON list of {checkpoint, auto, resave, inputs, result}, and the plan
where one of an elastic checkpoint is meant.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file


@torch.no_grad()
def run(job: dict[str, Any]) -> None:
    auto = getattr(transformers, job["auto"])
    options = {"plan": job["plan"]} if job.get("plan") else {}
    model = auto.from_pretrained(job["checkpoint"], trust_remote_code=True, **options)
    if job["resave"]:
        model.save_pretrained(job["resave"])
        model = auto.from_pretrained(job["resave"], trust_remote_code=True)
    kind = torch.empty(0, dtype=model.dtype)
    outputs = model.eval().float()(**load_file(job["inputs"]))
    result = outputs.last_hidden_state if job["auto"] == "AutoModel" else outputs.logits
    save_file({"result": result.contiguous(), "type": kind}, job["result"])


if __name__ == "__main__":
    sys.modules["hipp_prune"] = None  # type: ignore[assignment]
    for job in json.loads(Path(sys.argv[1]).read_text()):
        run(job)
