"""What a version of a table tells of itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from wifi_assets.lake import Lake


def test_the_time_of_a_version_stays_while_others_come(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    own = lake.open("acks")
    nothing = own.table.schema.empty_table()
    lake.append(own, nothing, {})
    version = lake.open("acks")
    first = version.committed_at()
    assert first is not None
    for _ in range(3):
        lake.append(lake.open("acks"), nothing, {})
    assert version.committed_at() == first


def test_a_clock_that_was_ahead_closes_no_day_to_come(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    today = datetime.now(UTC).date()
    own = lake.open("acks")
    row = dict.fromkeys(own.table.schema.names) | {"day": today - timedelta(days=1)}
    row |= {"topic_generation": 0, "kafka_partition": 0, "kafka_offset": 1}
    lake.append(own, pa.Table.from_pylist([row], own.table.schema), {})
    assert lake.delete_before(lake.open("acks"), today + timedelta(days=400)) == {row["day"]}
    assert lake.open("acks").kept_from() == datetime.now(UTC).date()
