"""``wifi-assets report``: output, exit codes, one sentence where it fails."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wifi_assets.cli import main
from wifi_assets.lake import Lake

Run = Callable[..., Result]


@pytest.fixture
def run(home: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process, away from any .env."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WIFI_")]:
        monkeypatch.delenv(name)

    def command(*arguments: str, lake: str = home.url) -> Result:
        return CliRunner().invoke(main, ["report", *arguments], env={"WIFI_LAKE": lake})

    return command


def test_all_stored_days_are_the_default(run: Run, tmp_path: Path) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    size = (tmp_path / "report.html").stat().st_size
    assert done.output == f"report.html: 2026-03-01 to 2026-03-02 (UTC), {size:,} bytes\n"
    assert os.listdir(tmp_path) == ["report.html"]


def test_to_is_not_part_of_the_report(run: Run, tmp_path: Path) -> None:
    done = run("--from", "2026-03-01", "--to", "2026-03-02", "--out", str(tmp_path / "day.html"))
    assert done.exit_code == 0
    assert "2026-03-01 to 2026-03-01 (UTC)" in done.output
    assert "2026-03-01, one day (UTC)." in (tmp_path / "day.html").read_text()


def test_days_without_data_are_said_to_be_so(run: Run, tmp_path: Path) -> None:
    done = run("--from", "2027-01-01")
    assert done.exit_code == 0
    assert done.output == ("report.html: no frame was heard in this period; the lake holds 2026-03-01 to 2026-03-02\n")
    assert "No frame was heard in this period." in (tmp_path / "report.html").read_text()


def test_a_lake_without_tables_is_one_sentence(run: Run, tmp_path: Path) -> None:
    done = run(lake=str(tmp_path / "nowhere"))
    assert done.exit_code == 1
    assert done.output == (
        f"Error: the lake at {tmp_path / 'nowhere'} holds no frames: run wifi-assets ingest, or set WIFI_LAKE\n"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("out", ["missing/report.html", "/proc/report.html"])
def test_a_file_that_cannot_be_written_is_one_sentence(run: Run, out: str) -> None:
    done = run("--out", out)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: cannot write {out}: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-03-02", "--to", "2026-03-02"),
        ("--from", "2026-03-02", "--to", "2026-03-01"),
        ("--from", "yesterday"),
        ("--out", "/tmp"),  # noqa: S108
        ("--nonsense",),
    ],
)
def test_wrong_use_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_an_empty_range_is_told_how_to_ask_for_one_day(run: Run) -> None:
    assert "for this one day it is --to 2026-03-03" in run("--from", "2026-03-02", "--to", "2026-03-02").output


def test_no_other_command_pays_for_what_draws() -> None:
    text = "import sys, wifi_assets.cli, wifi_assets.definitions; print([*{'matplotlib', 'PIL'} & sys.modules.keys()])"
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=120)
    assert told.stdout == "[]\n"
