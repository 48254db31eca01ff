"""The HTML report: one page that shows what a method does to a ranking, and under which protocol
each number was made.

`examine` evaluates a method and keeps what the page needs beside its numbers; `write_report` makes
the page. What draws (matplotlib, Jinja2, openTSNE: the extra "report") is imported when a page is
written, not before.
"""

from graphreid.metrics.camera_pairs import CameraTable
from graphreid.report.examine import TOP, Details, examine
from graphreid.report.page import write_report

__all__ = ["TOP", "CameraTable", "Details", "examine", "write_report"]
