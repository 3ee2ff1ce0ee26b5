"""Recovery (Section 2.7): a short fine-tuning of a pruned checkpoint, its masks and widths fixed.

In: a checkpoint folder and questions of the recovery split. Out: a checkpoint folder whose trained tensors
are exchanged. What may be changed here alone: a term of the loss, a part that is trained.
"""
