"""What the clock starts: when, how far it gives way to what somebody waits for, and what a failure holds up."""

from pathlib import Path

import dagster as dg
import pytest

from wifi_assets.definitions import build_defs
from wifi_assets.lake import Lake
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


def test_maintenance_makes_room_first_and_goes_on_past_a_table_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, lake=str(tmp_path / "lake"))
    lake = Lake(settings.lake)
    for name in ("frames", "acks", "rts"):
        for _ in range(3):
            own = lake.open(name)
            lake.append(own, own.table.schema.empty_table(), {})
    done: list[tuple[str, str]] = []
    compact, vacuum = Lake.compact, Lake.vacuum

    def full(self: Lake, name: str, at_least: int) -> int:
        done.append(("compact", name))
        if name == "frames":
            raise OSError("No space left on device")
        return compact(self, name, at_least)

    def counted(self: Lake, name: str) -> int:
        done.append(("vacuum", name))
        return vacuum(self, name)

    monkeypatch.setattr(Lake, "compact", full)
    monkeypatch.setattr(Lake, "vacuum", counted)
    with pytest.raises(dg.Failure, match=r"^shrink frames: the lake at .* No space left on device; look at") as failed:
        build_defs(settings).resolve_job_def("maintenance").execute_in_process(instance=dg.DagsterInstance.ephemeral())
    assert "acks" not in str(failed.value)
    assert [what for what, _ in done] == ["vacuum"] * 3 + ["compact"] * 3
    assert {name for what, name in done if what == "compact"} == {"frames", "acks", "rts"}
