"""models/families."""
