"""The report: one HTML page that shows what each method does to the rankings, and by which protocol
it was evaluated.

`examine` evaluates a method and keeps what the page needs besides; `write_report` writes the page.
The packages that draw (matplotlib, Jinja2, openTSNE: the extra `report`) are imported when a page
is written.
"""

from graphreid.metrics.camera_pairs import CameraTable
from graphreid.report.examine import TOP, Details, examine
from graphreid.report.page import write_report

__all__ = ["TOP", "CameraTable", "Details", "examine", "write_report"]
