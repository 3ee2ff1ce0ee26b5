"""LLaVA on a Phi-3, whose gate and up projections are one matrix, as are queries, keys and values."""

from hipp_prune.models.families.llava import LlavaAdapter
from hipp_prune.models.family import NO_UNEVEN_GRAPH, Family

FAMILY = Family(
    name="LLaVA on Phi-3",
    model_type="llava",
    backbone="phi3",
    adapter=LlavaAdapter,
    tested="contract tests",
    cannot={
        "llm-pruner": "queries, keys and values are one matrix, whose rows are no heads that could leave",
        "slicegpt": "queries, keys and values are one matrix, and so are gates and ups; slicing knows them one by one",
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": "queries, keys and values are one matrix, which the graph of a block does not know; serve it with "
        "transformers or vLLM",
    },
)
