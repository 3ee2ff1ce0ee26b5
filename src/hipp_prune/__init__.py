"""Makes vision-language models smaller without making them hallucinate: HiPP-Prune and beyond."""
