"""What measures hipp-prune itself: comparisons, the paper's tables, the training of embedded and small models.

Needs the extra ``experiments`` (``photo`` one of its own, ``toy`` none); no other room imports from here. Each
experiment is a folder with its settings, its cells or trials, its page and its verb. What may be changed here alone:
all of it.
"""
