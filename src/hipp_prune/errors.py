"""Every error a caller may catch.

::

    HippPruneError
    ├── InputError (ValueError)       something the user gave us is wrong
    │   ├── QuestionError             a benchmark file, line or record
    │   ├── ImageError                an image that is missing or cannot be decoded
    │   ├── PreferenceError           a preference that is no point of the simplex
    │   ├── BudgetError               a sparsity that the box constraints do not allow
    │   ├── RequirementError          requirements that no plan is predicted to meet together
    │   ├── PlanError                 a plan file that is malformed or made for another model
    │   ├── CheckpointError           a checkpoint with missing, unexpected or mismatched tensors
    │   └── UnsupportedModelError     a model that lacks something the method needs
    └── RunError                      a run directory or an output path
        ├── IncompleteRunError        an earlier stage has not been run, or was cut off
        └── OutputExistsError         the output is already there and ``--force`` was not given

Each message is one sentence: what was expected, what was found where, and what to do about it.
Violated *invariants* (our own mistakes) are ``assert`` failures, never one of these.
"""


class HippPruneError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(HippPruneError, ValueError):
    """Something the user gave us is wrong."""


class QuestionError(InputError):
    """A benchmark file, line or record that cannot be read as a question or an answer."""


class ImageError(InputError):
    """An image that is missing or cannot be decoded."""


class PreferenceError(InputError):
    """A preference that is not three non-negative numbers with a positive sum."""


class BudgetError(InputError):
    """A sparsity that the box constraints do not allow."""


class RequirementError(InputError):
    """Requirements that no plan is predicted to meet together."""


class PlanError(InputError):
    """A plan that is malformed or was made for another model."""


class CheckpointError(InputError):
    """A checkpoint whose tensors do not match the model, or that cannot be written or read."""


class UnsupportedModelError(InputError):
    """A model that lacks something the method needs."""


class RunError(HippPruneError):
    """A run directory or an output path is not in the state the command needs."""


class IncompleteRunError(RunError):
    """An earlier stage has not been run, or was cut off before it finished."""


class OutputExistsError(RunError):
    """The output is already there and ``--force`` was not given."""
