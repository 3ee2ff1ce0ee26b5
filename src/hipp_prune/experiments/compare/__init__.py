"""Ways to prune, compared: checkpoints of one budget, asked before and after one recovery."""
