import subprocess
import sys

import graphreid


def test_a_tab_shows_the_names_and_importing_them_is_left_for_their_use() -> None:
    code = "import sys, graphreid; print(*dir(graphreid)); sys.exit('torch' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert shown == sorted(graphreid.__all__)
    assert all(getattr(graphreid, name) is not None for name in shown)
