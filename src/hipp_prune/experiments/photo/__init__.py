"""A real pretrained language model that looks at pictures: stock classes, parts from packages, trained in an hour.

Needs the extra ``photo``. In: the package of SmolLM2 and the vision tower of the embedded ``toy-llava``. Out: a stock
LLaVA checkpoint, and question files that every stage reads. What may be changed here alone: all of it.
"""
