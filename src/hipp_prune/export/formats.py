"""What a checkpoint may become for other runtimes, by name (no torch)."""

from typing import Literal

ExportFormat = Literal["padded", "gguf", "onnx", "checkpoint"]
"""What other runtimes load. ``padded``: a stock checkpoint of one width; ``gguf``: llama.cpp's file; ``onnx``: graphs
for ONNX Runtime; ``checkpoint``: a plan of an elastic checkpoint as a checkpoint of its own."""

GgufPrecision = Literal["stored", "f32", "f16", "bf16", "q8_0"]
"""Of the matrices in a GGUF file. ``stored``: the checkpoint's own."""
