"""The stages of a run, each once: calibrate, search, query, prune, recover, evaluate, export, report.

In: names, paths and one settings class a stage. Out: what the stage made, also written to the run directory
or an output path. Everything that a user can start goes through here. What may be changed here alone: what a
stage does in which order.
"""
