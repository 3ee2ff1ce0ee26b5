"""Checkpoints as files: from a dense checkpoint and a plan to a smaller one that loads like any other.

In: a checkpoint folder and a ``Plan`` (or rotations, or heads that leave). Out: a folder written whole or not
at all, with its card, plan and ledger. Nothing goes through a model in memory: tensors are cut in the
safetensors files themselves. What may be changed here alone: how a tensor is cut, what a card says, what a
ledger counts.
"""
