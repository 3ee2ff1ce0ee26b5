"""What a checkpoint may become for other runtimes, by name (no torch)."""

from typing import Literal

ExportFormat = Literal["padded", "gguf", "onnx", "checkpoint", "gptq", "awq", "fp8", "bnb4"]
"""What other runtimes load. ``padded``: a stock checkpoint of one width; ``gguf``: llama.cpp's file; ``onnx``: graphs
for ONNX Runtime; ``checkpoint``: a plan of an elastic checkpoint as a checkpoint of its own; the others are
``QuantisedFormat``."""

QuantisedFormat = Literal["gptq", "awq", "fp8", "bnb4"]
"""Checkpoints with fewer bits a weight. ``gptq`` and ``awq``: 4 bits, fitted to what the model sees; ``fp8``: 8-bit
floats, activations too; ``bnb4``: bitsandbytes' 4 bits."""

GgufPrecision = Literal["stored", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_k_m", "q5_k_m", "q6_k"]
"""Of the matrices in a GGUF file. ``stored``: the checkpoint's own; K-quants are made by ``llama-quantize``."""
