"""What a plan is worth: returns (Eq. 11–12), stability (Eq. 13–15), and the evaluator."""
