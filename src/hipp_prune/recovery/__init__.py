"""Recovery (Section 2.7): a short fine-tuning of a pruned checkpoint, its masks and widths fixed."""
