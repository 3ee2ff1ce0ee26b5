"""Settings of the stages that have none in a room of their own; free of torch, so that the command line lists them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hipp_prune.errors import InputError
from hipp_prune.export.formats import GgufPrecision
from hipp_prune.files.ranges import Count, Faster, Mixed, Natural, NotNegative, Positive, Seed, Share
from hipp_prune.files.sizes import parse_size
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.alignment import Runtime, aligned_neurons
from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.splits import Split
from hipp_prune.search.settings import DEFAULT_EVALUATIONS


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """How a model is loaded."""

    device: str = "best"
    """best takes cuda where there is a GPU, else mps, else cpu, and says which.
    cpu, cuda, cuda:1 … take that one; auto splits a model that is larger than one GPU."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto keeps the checkpoint's."""
    trust_remote_code: bool = False
    """Let code that comes with the checkpoint run. Our own pruned checkpoints never need it here."""


FULL_PRECISION = LoadSettings(dtype="float32")
"""For training: small updates get lost in 16 bits; what is written keeps the checkpoint's precision."""


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """What the dense model is measured on."""

    count: Count = 128
    """Calibration questions drawn, ≥ 1, balanced over benchmarks and answers."""
    batch_size: Count = 16
    """Questions a forward pass, ≥ 1."""
    seed: Seed = 0
    """Of the draw, the splits, and everything the run does later, ≥ 0."""
    answer_tokens: Count = 32
    """Tokens kept of the dense model's own answer to a question that comes without one, ≥ 1."""
    object_margin: NotNegative = 1.0
    """Nats by which it must be surer of Yes or No to be asked about an object in such a question's picture, ≥ 0."""
    compensation: Literal["none", "ridge"] = "none"
    """Whether Gram matrices are gathered, so that plans can be compensated by least squares."""
    gram_disk: Positive = 10.0
    """GB that they may take on the disk; image and text tokens are kept apart only where that suffices."""
    general_text: tuple[Path, ...] = ()
    """Plain text or .jsonl files with a "text" a line, which compensation is to keep beside the task."""
    general_share: Mixed = 0.25
    """Share of the Gram matrices that these texts have, in (0, 1)."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.general_text and self.compensation == "none":
            raise InputError(
                "--general-text enters the Gram matrices alone, and --compensation none gathers none; add "
                "--compensation ridge, or leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """How fast questions are asked, and in how much memory; it changes no result."""

    batch_size: Count = 64
    """Questions a forward pass, ≥ 1."""
    image_memory: NotNegative = 1.0
    """GiB of encoded pictures, ≥ 0, that stay in memory; the rest lie in the run's cache."""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def image_bytes(self) -> int:
        """``image_memory`` in bytes."""
        return int(self.image_memory * 2**30)


@dataclass(frozen=True, kw_only=True)
class QuerySettings:
    """What a queried plan must look like, whatever the preference."""

    sparsity: Share | None = None
    """Fix the fraction saved, in [0, 1], instead of leaving it to the policy.
    It is a fraction of MLP parameters, or of what the search's --compression says."""
    uniform: bool = False
    """Leave all blocks equally wide, for runtimes that know one width only: the best single one for the preference."""
    align: Count = 1
    """Keep a multiple of this many neurons, ≥ 1, in every block (8, 64, 128 suit GPUs)."""
    align_for: tuple[Runtime, ...] = ()
    """Keep multiples that these take, too (docs/serving.md has the numbers): formats, kernels and tensor parallelism,
    e.g. marlin tp2."""
    fit: str | None = None
    """The largest model that takes no more than this, met to one neuron: 8GB, 7.5GiB, 900MB, or a number of bytes.
    What counts are the weights of the whole checkpoint as stored, and the KV cache of --context tokens."""
    context: Natural = 0
    """With --fit: tokens of a sequence, pictures' among them, ≥ 0, whose KV cache is to fit too."""
    batch: Count = 1
    """With --fit: sequences of --context tokens, ≥ 1."""
    speed: Faster | None = None
    """The largest model whose language model is this many times as fast as the dense one, > 1, by the latencies that
    the run has measured (search --compression latency)."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.fit is None and (self.context, self.batch) != (0, 1):
            raise InputError(
                "--context and --batch say what is to fit beside the weights; add --fit, e.g. --fit 8GB"
            )
        if self.fit is not None:
            parse_size(self.fit, flag="--fit")
        if self.sparsity is not None and self.targets:
            raise InputError(
                f"--sparsity fixes how much is saved, and so does {self.targets[0]}; leave out one of the two"
            )

    @property
    def neurons(self) -> int:
        """What widths are multiples of, ≥ 1, by ``align`` and ``align_for`` together."""
        return aligned_neurons(self.align, self.align_for)

    @property
    def targets(self) -> tuple[str, ...]:
        """The flags that say what a model may take, besides a sparsity."""
        return tuple(f"--{name}" for name in ("fit", "speed") if getattr(self, name) is not None)


@dataclass(frozen=True, kw_only=True)
class AutoSettings:
    """What everyone decides who has all stages done by one command."""

    evaluations: Count = DEFAULT_EVALUATIONS
    """Plans that the search evaluates, ≥ 1: more find better ones, also later in the same run."""
    count: Count | None = None
    """At most this many questions a benchmark, ≥ 1, in each stage: for a first try in minutes, as count= of a source.
    What it finds is as uncertain as the questions are few."""
    limit: Count | None = None
    """At most this many test questions a benchmark, ≥ 1, for the dense and the pruned model."""
    skip_bad: bool = False
    """Leave out (and count) broken questions and pictures instead of stopping."""
    seed: Seed = 0
    """Of the splits, the calibration sample, the search and the recovery, ≥ 0."""
    batch_size: Count | None = None
    """Questions a forward pass, ≥ 1; by default what is usual for each stage."""
    compensation: Literal["sequential", "none"] = "sequential"
    """How neurons that stay answer for those that leave, when the checkpoint is written (docs/compensation.md)."""
    recover: bool = False
    """Fine-tune what was pruned briefly, with the dense model as its teacher.
    With --fit the head stays as it is: one that is tied to the embeddings would be untied, and the model grow."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Which questions are asked, and how they are scored."""

    split: Split | Literal["all"] = "test"
    """Our split by image; all takes the whole official file."""
    limit: Count | None = None
    """At most this many questions a benchmark, ≥ 1, the same for every model."""
    label: str | None = None
    """Name in tables; dense or the plan's preference by default."""
    rule: Rule = "official"
    """Whose reading of Yes and No, where harnesses disagree."""
    batch_size: Count = 64
    """Questions a forward pass, ≥ 1."""
    seed: Seed = 0
    """Of the splits and of --limit, ≥ 0."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What a checkpoint becomes in another runtime's format."""

    questions: tuple[str, ...] = ()
    """Of a quantised checkpoint: sources of questions, as calibrate takes them. Their calibration split is what gptq
    and awq fit their rounding to; their test split is asked before and after."""
    count: Count = 128
    """With --questions: calibration questions that gptq and awq are shown, ≥ 1."""
    limit: Count | None = None
    """With --questions: at most this many test questions a benchmark, ≥ 1."""
    group_size: Count = 128
    """Of gptq and awq: columns that share a scale, ≥ 1; widths must be multiples of it."""
    seed: Seed = 0
    """With --questions: of the splits and the sample, ≥ 0; give that of the run."""

    masked: bool = False
    """Export a checkpoint whose rows were zeroed too; it saves nothing."""
    precision: GgufPrecision = "stored"
    """Of the matrices in a GGUF file; stored is the checkpoint's own, q8_0 and q4_0 need --align-for gguf-q8.
    q4_k_m, q5_k_m and q6_k are made by llama-quantize, which must be on the PATH, and like --align-for gguf-k."""
    token_ids: bool = False
    """Write a GGUF file that takes token ids alone, where llama.cpp cannot cut text as the tokenizer does."""

    def __post_init__(self) -> None:
        check_settings(self)
