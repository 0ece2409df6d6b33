"""The tables against each other and against ``schemas.py``.

Here belong the checks that read the lake alone and must hold. Not here: what only warns (``signs.py``).
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from wifi_assets.assets.metadata import days_metadata, said_plainly
from wifi_assets.compute import open_from
from wifi_assets.engine import engine
from wifi_assets.lake import Lake, LakeError
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import POSITION, Snapshot

SUMS = dg.AssetCheckKey(dg.AssetKey("packet_stats"), "sums_equal_frames")
#: Split -> the frames' subtype that it holds.
SUBTYPES = {"probes": 4, "beacons": 8, "rts": 27, "cts": 28, "acks": 29, "nulls": 36}


def build(lake: Lake) -> list[dg.AssetChecksDefinition]:
    """The checks between tables."""

    @dg.multi_asset_check(
        name="splits_equal_frames",
        specs=[
            dg.AssetCheckSpec(
                "rows_equal_frames",
                asset=name,
                description=f"On each day that both keep as many rows as frames of subtype {subtype}, as far as the "
                "table has come.",
            )
            for name, subtype in SUBTYPES.items()
        ],
        can_subset=True,
    )
    def splits_equal_frames(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        asked = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
        with said_plainly():
            for name, (wanted, held) in split_counts(lake, [name for name in SUBTYPES if name in asked]).items():
                yield _equal(name, "rows_equal_frames", wanted, held, "frames", "rows")

    @dg.asset_check(
        asset="packet_stats",
        name=SUMS.name,
        description="On each day that both keep the packet counts add up to the rows of frames, as of when they were "
        "computed.",
    )
    def sums_equal_frames() -> dg.AssetCheckResult:
        with said_plainly():
            stats = lake.open("packet_stats")
            seen = stats.upstream_version("frames")
            now = lake.open("frames")
            frames = (lake.at("frames", seen) if seen is not None else None) or now
            with engine() as run:
                run.view("packet_stats", stats.rows())
                summed = run.query("SELECT day, CAST(sum(packet_count) AS BIGINT) AS n FROM packet_stats GROUP BY day")
        held = dict(zip(summed["day"].to_pylist(), summed["n"].to_pylist(), strict=True))
        first = open_from(stats, now)
        wanted, held = _from(rows_by_day(frames), first), _from(held, first)
        return _equal("packet_stats", SUMS.name, wanted, held, "frames", "packet counts")

    @dg.multi_asset_check(
        name="schemas",
        specs=[
            dg.AssetCheckSpec("schema", asset=name, description="The stored columns are those that the code knows.")
            for name in TABLES
        ],
        can_subset=True,
    )
    def schemas(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        asked = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
        for name in TABLES:
            if name in asked:
                yield schema_of(lake, name)

    return [splits_equal_frames, sums_equal_frames, schemas]


def rows_by_day(snapshot: Snapshot) -> dict[date, int]:
    """Rows of each day, by Delta's log alone."""
    files = snapshot.files().group_by("partition.day").aggregate([("num_records", "sum")])
    return dict(zip(files["partition.day"].to_pylist(), files["num_records_sum"].to_pylist(), strict=True))


def split_counts(lake: Lake, names: list[str]) -> dict[str, tuple[dict[date, int], dict[date, int]]]:
    """For each split the frames by day that it has to hold, and the rows by day that it holds; one scan.

    Days of which retention has taken frames or rows are left out.
    """
    splits = {name: lake.open(name) for name in names}
    frames = lake.open("frames")
    columns = ", ".join(
        f"count(*) FILTER (WHERE frame_subtype = {SUBTYPES[name]} AND {POSITION} < list_extract({_list(split)}, "
        f"kafka_partition + 1)) AS {name}"
        for name, split in splits.items()
    )
    with engine() as run:
        run.view("frames", frames.rows())
        counted = run.query(f"SELECT day, {columns} FROM frames GROUP BY day").to_pylist()  # noqa: S608 - our own names
    found = {}
    for name, split in splits.items():
        first = open_from(split, frames)
        heard = {row["day"]: row[name] for row in counted if row[name]}
        found[name] = _from(heard, first), _from(rows_by_day(split), first)
    return found


def _from(counts: dict[date, int], first: date) -> dict[date, int]:
    return {day: count for day, count in counts.items() if day >= first}


def _list(split: Snapshot) -> str:
    return f"CAST({split.positions('frames')} AS BIGINT[])"


def _equal(
    asset: str, check: str, wanted: dict[date, int], held: dict[date, int], upstream: str, what: str
) -> dg.AssetCheckResult:
    differ = {day for day in wanted.keys() | held.keys() if wanted.get(day, 0) != held.get(day, 0)}
    first = min(differ, default=None)
    metadata: dict[str, Any] = {
        upstream: sum(wanted.values()),
        what: sum(held.values()),
        "days": len(wanted.keys() | held.keys()),
        "days that differ": len(differ),
        "which": days_metadata(differ),
    }
    return dg.AssetCheckResult(
        passed=not differ,
        asset_key=asset,
        check_name=check,
        metadata=metadata,
        description=""
        if first is None
        else f"{len(differ)} days differ, e.g. {first}: {wanted.get(first, 0)} {upstream}, "
        f"{held.get(first, 0)} {what}; materialise these days of {asset} again",
    )


def schema_of(lake: Lake, name: str) -> dg.AssetCheckResult:
    """Compare the stored columns with those of ``schemas.py``; columns of somebody else are named."""
    wanted = TABLES[name].schema
    try:
        stored = pa.schema(lake.open(name).delta.schema().to_arrow())
    except LakeError as error:
        return dg.AssetCheckResult(
            passed=False,
            asset_key=name,
            check_name="schema",
            metadata={"columns": len(wanted), "stored columns": "unreadable"},
            description=str(error),
        )
    # Opening refuses other types and adds what lacks; what may be NULL is left to compare.
    loose = [field.name for field in wanted if not field.nullable and stored.field(field.name).nullable]
    others = [name for name in stored.names if name not in wanted.names]
    return dg.AssetCheckResult(
        passed=not loose and not others,
        asset_key=name,
        check_name="schema",
        metadata={"columns": len(wanted), "stored columns": len(stored)},
        description="; ".join(
            ([f"columns that the code does not know: {', '.join(others)}"] if others else [])
            + ([f"key columns that may be NULL: {', '.join(loose)}"] if loose else [])
        ),
    )
