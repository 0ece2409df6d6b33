"""When a version was committed, while other runs go on committing."""

from pathlib import Path

from wifi_assets.checks.signs import _written
from wifi_assets.lake import Lake


def test_the_time_of_a_version_stays_while_others_come(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    own = lake.open("acks")
    nothing = own.table.schema.empty_table()
    lake.append(own, nothing, {})
    version = lake.open("acks")
    first = _written(version)
    assert first is not None
    for _ in range(3):
        lake.append(lake.open("acks"), nothing, {})
    assert _written(version) == first
