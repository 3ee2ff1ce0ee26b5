"""What pruning costs a model before anything is recovered: its tasks, and how far it is from the dense model.

In: a model, question files and texts. Out: a table and a picture of accuracy by question file and of KL to the dense
model, by method, budget and compensation, with paired intervals. What may be changed here alone: all of it.
"""
