"""Real servers on this machine, without containers: one folder a server, one script each.

Every script speaks the same five verbs, ``NAME/NAME.sh install | start DATA PORT | stop DATA PORT |
kill DATA PORT | status DATA PORT``: ``start`` returns when the server serves on 127.0.0.1, ``kill`` is
SIGKILL for crash tests and leaves the data. Here belongs only the Python handle on those scripts. Not
here: what is tested with them.
"""

import os
import random
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("kafka", "mongo", "postgres", "elasticsearch", "neo4j")


class Unavailable(RuntimeError):
    """This machine cannot run the server; the text says why."""


def free_port(count: int = 1) -> int:
    """A port on 127.0.0.1 that is free now, with the ``count - 1`` ports after it.

    Below the range from which outgoing connections draw theirs (Linux: 32768 and up), so that none of
    those takes it before the server does.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


@dataclass
class Server:
    """One server of ours.

    Attributes:
        name: One of ``NAMES``.
        data: Its data folder; the same folder and port again means the same data.
        port: Its port on 127.0.0.1 (Kafka also takes the next one for its controller).
        env: Extra environment for the script (logins, listeners, heap).
    """

    name: str
    data: Path
    port: int = field(default_factory=lambda: free_port(2))
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> "Server":
        """Start and wait until it serves; raises ``Unavailable`` with the script's last words."""
        self._call("start", *arguments)
        return self

    def stop(self) -> None:
        """End it cleanly."""
        self._call("stop")

    def kill(self) -> None:
        """SIGKILL; ``start`` again keeps what was acknowledged."""
        self._call("kill")

    def _call(self, verb: str, *arguments: str) -> None:
        script = HERE / self.name / f"{self.name}.sh"
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.data / f"{verb}.out"
        # A file, not a pipe: the server inherits it and would hold a pipe open for ever.
        with log.open("w+b") as out:
            done = subprocess.run(
                # Under nohup or in the background signals are ignored, which a JVM inherits: SIGTERM would not end it.
                ["env", "--default-signal", "bash", script, verb, self.data, str(self.port), *arguments],
                env=os.environ | self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=600,
                check=False,
            )
        if done.returncode:
            words = log.read_text(errors="replace").strip()[-2000:]
            raise Unavailable(f"{self.name}: {verb} ended with {done.returncode}: {words}")
