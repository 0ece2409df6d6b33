"""What the clock starts: when, and how far it gives way to what somebody waits for."""

from pathlib import Path

from wifi_assets.definitions import build_defs
from wifi_assets.launcher import NICE
from wifi_assets.settings import Settings


def test_the_clock_starts_checks_each_hour_and_the_rest_at_night_all_giving_way(tmp_path: Path) -> None:
    defs = build_defs(Settings(_env_file=None, lake=str(tmp_path / "lake")))
    schedules = {one.job_name: (one.cron_schedule, one.execution_timezone) for one in defs.schedules or []}
    assert schedules == {
        "checks": ("23 * * * *", "UTC"),
        "maintenance": ("41 2 * * *", "UTC"),
        "purge_history": ("41 3 * * *", "UTC"),
    }
    assert {defs.resolve_job_def(name).tags[NICE] for name in schedules} == {"10"}
    assert NICE not in defs.resolve_job_def("lake").tags
