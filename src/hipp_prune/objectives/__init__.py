"""What a plan is worth: returns (Eq. 11–12) and stability (Eq. 13–15), pure functions on arrays.

In: answer scores or flows of weights. Out: numbers. What may be changed here alone: a kind of return, a kind
of band.
"""
