"""The measurements that take no hours, one after the other, each in a process of its own: ``python -m bench``."""

import subprocess
import sys

NAMES = ("ingest", "sessions", "batches", "postgres", "elasticsearch", "neo4j", "lookup", "report", "latency")

if __name__ == "__main__":
    failed = []
    for name in NAMES:
        print(f"\n== python -m bench.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"did not end well: {', '.join(failed)}")
