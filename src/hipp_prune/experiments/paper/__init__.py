"""The paper's tables and figures, and what it lacks: a part names its cells and turns finished ones into text."""
