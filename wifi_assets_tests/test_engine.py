"""Which tables a statement reads, and what a process leaves behind."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from wifi_assets import engine as module
from wifi_assets.engine import engine, named
from wifi_assets.schemas import TABLES


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("SELECT * FROM networks_looked_for_day", {"networks_looked_for_day"}),
        ("SELECT count(*) FROM probes_enriched", {"probes_enriched"}),
        ('SELECT * FROM Frames JOIN "probes" USING (day)', {"frames", "probes"}),
        ("WITH a AS (SELECT * FROM acks) SELECT * FROM a, rts;", {"acks", "rts"}),
        ("PIVOT packet_stats ON frame_subtype", {"packet_stats"}),
        ("SELECT 1", set()),
    ],
)
def test_a_statement_names_whole_tables_in_any_case(statement: str, names: set[str]) -> None:
    assert set(named(statement, TABLES)) == names


def _spilling(folder: str) -> None:
    """A statement that needs the disk, in a process that ends as those of runs do."""
    os.environ["TMPDIR"] = folder
    module.MEMORY = "100MB"
    with engine() as run:
        (spill,) = Path(folder).iterdir()
        assert stat.S_IMODE(spill.stat().st_mode) == 0o700
        made = "SELECT range AS a, hash(range)::VARCHAR AS b FROM range(4000000)"
        assert len(run.query(f"SELECT a FROM ({made}) ORDER BY b")) == 4_000_000
    assert any(spill.iterdir())


def test_the_process_of_a_run_leaves_no_file(tmp_path: Path) -> None:
    process = multiprocessing.get_context("forkserver").Process(target=_spilling, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert list(tmp_path.iterdir()) == []
