"""Every reader that is fuzzed, and its valid files."""

from tests.fuzz.checkpoint_seeds import CHECKPOINT, ELASTIC
from tests.fuzz.experiment_seeds import EXPERIMENTS
from tests.fuzz.list_seeds import LISTS
from tests.fuzz.plan_seeds import PLANS, RUNS
from tests.fuzz.question_seeds import ANSWERS, QUESTIONS, RESULTS
from tests.fuzz.search_seeds import SEARCHES
from tests.fuzz.tensor_seeds import TENSORS

SEEDS = (QUESTIONS, ANSWERS, PLANS, RUNS, LISTS, SEARCHES, CHECKPOINT, ELASTIC, TENSORS, RESULTS, EXPERIMENTS)
