"""The verbs that write other runtimes' formats and push to the hub."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.export.formats import ExportFormat
from hipp_prune.stages.settings import ExportSettings


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a checkpoint for another runtime; docs/serving.md says what each can do.

    Examples: hipp-prune export smaller --format gguf --out smaller.gguf;
    hipp-prune export smaller --format padded --out stock;
    hipp-prune export smaller --format gptq --questions toyworld --out four-bits
    """

    checkpoint: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CKPT")]
    """A checkpoint that prune, baseline or recover wrote, a plan of an elastic one, or any other model."""
    format: ExportFormat
    """gguf: a file for llama.cpp.
    padded: a stock checkpoint, its blocks filled up to the widest one.
    onnx: a folder of graphs for ONNX Runtime, with an example that runs them.
    gptq, awq: a checkpoint of 4 bits a weight, by llm-compressor; they need --questions.
    fp8: one of 8-bit floats, by llm-compressor.
    bnb4: one of bitsandbytes' 4 bits.
    checkpoint: one plan of an elastic checkpoint as a checkpoint of its own."""
    out: Path
    """File or folder to make."""
    force: bool = False
    """Replace what is there."""
    settings: ExportSettings = ExportSettings()

    def run(self) -> object:
        """Calls ``stages.export``."""
        from hipp_prune.report.terminal import progress_bar, say
        from hipp_prune.stages.export import export

        with progress_bar("exporting") as progress:
            exported = export(
                self.checkpoint, self.format, self.out, self.settings, force=self.force, progress=progress
            )
        say(exported.summary)
        return exported


@dataclass(frozen=True, kw_only=True)
class Push:
    """Put a checkpoint and its model card on the Hugging Face hub, where from_pretrained finds it by name.

    Example: hipp-prune push smaller my-name/smaller-llava --private
    """

    checkpoint: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CKPT")]
    """A checkpoint folder that prune, baseline, recover or export --format padded wrote."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OWNER/NAME")]
    """Where to; the repository is made if it is not there."""
    private: bool = False
    """Make it for its owner alone."""

    def run(self) -> object:
        """Calls ``stages.export.push``."""
        from hipp_prune.checkpoints.ledger import read_savings
        from hipp_prune.models.loading import local_folder
        from hipp_prune.report.terminal import next_steps, say
        from hipp_prune.stages.export import push

        place = push(self.checkpoint, self.name, private=self.private)
        say(place)
        savings = read_savings(local_folder(self.checkpoint))
        if savings is not None and (sources := savings.notes.get("sources")):
            next_steps(shlex.join(["hipp-prune", "evaluate", "--model", self.name, "--questions", *sources]))
        return {"place": place}
