"""What a run found, as a page to read and as a table to print."""

from hipp_prune.report.page import write_report
from hipp_prune.report.tables import print_summary, summary_rows

__all__ = ["print_summary", "summary_rows", "write_report"]
