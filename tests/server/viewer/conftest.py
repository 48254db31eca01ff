"""Says at the end which tests were left out for want of a browser, and how to get one."""

import shutil
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WHY = "no chromium here, so the viewer was not looked at in a browser: apt-get install chromium"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    left_out = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if WHY in str(report.longrepr)
    ]
    if left_out:
        terminalreporter.write_line(f"{', '.join(report.nodeid for report in left_out)}: {WHY}")
