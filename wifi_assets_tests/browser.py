"""A browser, and a page as one without a network makes it.

Not here: what is expected of the page.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def chromium() -> str:
    """Debian's browser; without it the test is skipped, or fails where none may be."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("WIFI_TESTS_NO_SKIP") == "1":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed: what a browser makes of the page is not seen")
    return found


def in_chromium(url: str, folder: Path, *options: str) -> str:
    """The page's elements after a browser has run what it runs; it reaches nothing but 127.0.0.1.

    Args:
        url: Of the page.
        folder: Where the browser's profile goes.
        options: Of chromium.
    """
    quiet = "--no-first-run --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [chromium(), "--headless=new", "--no-sandbox", *quiet.split(), alone, profile, *options]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout
