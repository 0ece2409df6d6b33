"""``wifi-assets …`` as a process that runs until it is told to end.

Not here: what it is told and asked.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """The command with these settings alone; killed with the block.

    Its output is a pipe; what it says beside is in the file ``said`` of the folder, in which it works.
    """
    command = [sys.executable, "-c", "from wifi_assets.cli import main; main()", *arguments]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), **settings}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=said, text=True
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
