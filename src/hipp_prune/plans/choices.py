"""Every named alternative a user can choose, in one place that needs no torch: the command line lists them.

``paper`` always means the literal reading of HiPP-Prune; the first name of each is our default.
"""

from typing import Literal

UnitKind = Literal["coupled", "rows"]
"""What a ratio removes. ``coupled``: neuron j is row j of gate and up and column j of down; ``rows``: the
paper's independent row masks of gate, up and down."""

Compression = Literal["parameters", "flops", "latency"]
"""What a saving is a fraction of: prunable MLP parameters, or FLOPs or seconds of the language model's forward pass."""

Allocation = Literal["waterfill", "paper"]
"""Eq. 8. ``waterfill`` meets the budget exactly; ``paper`` clips and lets the sparsity drift."""

ReturnKind = Literal["log-sigmoid", "tanh", "margin", "paper-literal"]
"""How a margin m becomes a return (Eq. 11): log σ(m), tanh(m/τ), m itself (the paper's), or the literal reading
of the paper's T_x and C_x, which measures the answer's *format* only."""

BandKind = Literal["conditional", "paper"]
"""Eq. 14. ``conditional``: quantiles of ℓ given the sparsity; ``paper``: of ℓ itself, which punishes both ends
of the budget because ℓ mostly follows the sparsity."""

FlowKind = Literal["block", "chain"]
"""Eq. 13. ``block``: logs of each block's flow, summed (a look-up a plan); ``chain``: the flow through all
weights, literally."""

AdvantageKind = Literal["leave-pair-out", "leave-one-out", "paper"]
"""Eq. 17. ``paper`` divides by the group's std; the others subtract a baseline independent of the plan."""

GateKind = Literal["positive", "all", "off"]
"""Which advantages the stability gate scales (Eq. 15): positive ones, all (the paper's), none."""

Action = Literal["hierarchical", "flat"]
"""Eq. 7. ``hierarchical`` (the paper's): a budget and an allocation of it; ``flat``: every ratio on its own, then
projected to the budget interval."""

VisualState = Literal["on", "off", "shuffled"]
"""What the policy sees of the visual sensitivity (Eq. 6): each block's own, nothing, or another block's."""

HeadReduction = Literal["mean", "max", "sum"]
"""How attention heads' masses on the image become one (Eq. 5): the paper takes the mean."""

Element = Literal["param_first", "vectorize", "param_mix"]
"""LLM-Pruner's Taylor term of a neuron: Σ|W ⊙ g|, |Σ W ⊙ g| of each projection, or Σ|W ⊙ g − ½ W ⊙ F ⊙ W|."""

Match = Literal["mlp", "block"]
"""What a baseline's sparsity is a fraction of: the MLP's prunable parameters, or all parameters of the blocks, which
methods are compared on that remove more than neurons."""

ExportFormat = Literal["padded", "gguf", "onnx"]
"""What other runtimes load. ``padded``: a stock checkpoint of one width; ``gguf``: llama.cpp's file; ``onnx``: graphs
for ONNX Runtime."""

GgufPrecision = Literal["stored", "f32", "f16", "bf16", "q8_0"]
"""Of the matrices in a GGUF file. ``stored``: the checkpoint's own."""
