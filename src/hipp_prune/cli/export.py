"""The subcommands that write other runtimes' formats and push to the hub.

As in ``commands``, nothing heavy is imported here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.plans.choices import ExportFormat, GgufPrecision


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a checkpoint for another runtime; docs/serving.md says what each can do.

    Examples: hipp-prune export smaller --format gguf --out smaller.gguf;
    hipp-prune export smaller --format padded --out stock
    """

    checkpoint: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CKPT")]
    """A checkpoint that prune, baseline or recover wrote, or any other model."""
    format: ExportFormat
    """gguf: a file for llama.cpp; padded: a stock checkpoint, its blocks filled up to the widest one;
    onnx: a folder of graphs for ONNX Runtime, with an example that runs them."""
    out: Path
    """File or folder to make."""
    masked: bool = False
    """Export a checkpoint whose rows were zeroed too; it saves nothing."""
    precision: GgufPrecision = "stored"
    """Of the matrices in a GGUF file; stored is the checkpoint's own, q8_0 needs --align 32."""
    token_ids: bool = False
    """Write a GGUF file that takes token ids alone, where llama.cpp cannot cut text as the tokenizer does."""
    force: bool = False
    """Replace what is there."""

    def run(self) -> None:
        """Calls ``api.export``."""
        from hipp_prune import api
        from hipp_prune.cli.output import console, progress_bar

        with progress_bar("exporting") as progress:
            exported = api.export(
                self.checkpoint,
                self.format,
                self.out,
                masked=self.masked,
                precision=self.precision,
                token_ids=self.token_ids,
                force=self.force,
                progress=progress,
            )
        console.print(exported.summary, highlight=False, soft_wrap=True)


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

    def run(self) -> None:
        """Calls ``api.push``."""
        from hipp_prune import api
        from hipp_prune.cli.output import console, next_steps

        console.print(
            api.push(self.checkpoint, self.name, private=self.private), highlight=False, soft_wrap=True
        )
        next_steps(f"hipp-prune evaluate --model {self.name} --questions SPEC")
