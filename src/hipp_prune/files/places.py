"""What somebody gave us instead of what a command takes, and which command they may have meant."""

import shlex
from pathlib import Path


def described(path: Path) -> str | None:
    """What lies at a path, with the command that takes such a thing; None for what none of our commands wrote.

    Returns:
        The beginning of a sentence, as ``run is a run directory; … with `hipp-prune …```.
    """
    name = shlex.quote(str(path))
    if not path.exists():
        return None
    if path.is_file():
        return f"{path} is a file" if path.suffix != ".gguf" else f"{path} is a file for llama.cpp"
    kinds = {
        "run.json": f"a run directory; write a checkpoint of it with `hipp-prune prune --run {name} --preference 1,1,1 "
        "--out smaller`",
        "compare.json": f"a comparison; see {path / 'compare.html'}, or write its tables anew with `hipp-prune compare "
        f"--out {name} --tables`",
        "bench.json": f"a search benchmark; see {path / 'curves.html'}",
        "world.json": f"an embedded world; ask it with `--questions toyworld:{name}`",
        "vision_encoder.onnx": f"an ONNX export; run it with `python {path / 'generate.py'}`",
        "config.json": f"a checkpoint; score it with `hipp-prune evaluate --model {name} --questions toyworld`",
    }
    return next((f"{path} is {kind}" for file, kind in kinds.items() if (path / file).is_file()), None)
