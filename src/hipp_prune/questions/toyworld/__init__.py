"""The embedded world: drawn scenes and questions about them in the official benchmarks' file formats."""

from hipp_prune.questions.toyworld.files import SIZES, load, write

__all__ = ["SIZES", "load", "write"]
