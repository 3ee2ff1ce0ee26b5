"""Each stage once, from names to results: what the command line, Python and the experiments call."""
