import os
import shutil
import subprocess

import pytest
from report.browser import Browser, find_browser


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; it is installed first where this process may do so."""
    if find_browser() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in ("update", "install -y --no-install-recommends chromium"):
            subprocess.run(["apt-get", "-q", *command.split()], capture_output=True, timeout=300)
    program = find_browser()
    if program is None:
        pytest.skip("Chromium is not installed; as root: apt-get install chromium")
    running = Browser(program)
    yield running
    running.close()
