"""What a run found, as a page to read and as a table to print."""
