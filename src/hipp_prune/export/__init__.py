"""From a pruned checkpoint to what other runtimes load: one file a format.

In: a checkpoint folder. Out: the runtime's own files, whole or not at all. What may be changed here alone: a
format.
"""
