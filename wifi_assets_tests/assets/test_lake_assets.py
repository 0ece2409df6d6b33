"""The lake's tables as Dagster assets: real runs on an instance, over a real topic of the simulated household."""

import json
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from wifi_assets.definitions import build_defs
from wifi_assets.from_settings import lake_of
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import (
    config,
    everything_told,
    failure,
    late_days,
    materialise,
    metadata,
    partitions,
    run_job,
)
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import (
    FIRST_DAY,
    ask,
    check_account,
    contents,
    differences,
    household,
    ingested,
    settings_of,
    topic_with,
)

SECOND_DAY = FIRST_DAY + timedelta(days=1)
TABLES_WITH_DAYS = [name for name, table in TABLES.items() if table.partitioned]
FOLLOWERS = [name for name, table in TABLES.items() if table.upstream]
DOORBELL = "24:0a:c4:d0:0b:e1"
LAKE_JOB = ["frames", "quarantine", *FOLLOWERS]


@pytest.fixture(scope="module")
def expected(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The household's lake as one plain run of all steps makes it."""
    folder = tmp_path_factory.mktemp("expected")
    home = household()
    return ingested(settings_of(topic_with(kafka, home.messages), folder / "lake", devices_path=home.devices(folder)))


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def rename(folder: Path, mac: str, name: str) -> None:
    """Give a user of the controller another name in the exported file."""
    file = folder / "ace.user.json"
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    for document in documents:
        if document["mac"].lower() == mac:
            document |= {"name": name, "hostname": ""}
    file.write_text("".join(json.dumps(document) + "\n" for document in documents))


def versions(lake: Lake) -> dict[str, int]:
    return {name: lake.open(name).version for name in TABLES if lake.exists(name)}


def days_of(lake: Lake, name: str) -> set[str]:
    return {str(row["day"]) for row in ask(lake, f"SELECT DISTINCT day FROM {name}")}


# ---------------------------------------------------------------- runs


def test_all_assets_in_one_run_over_a_range_and_a_second_run_with_nothing_new(
    kafka: Server, expected: Lake, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = household()
    settings = settings_of(topic_with(kafka, home.messages), tmp_path / "lake", devices_path=home.devices(tmp_path))
    lake = lake_of(settings)
    assert run_job(settings, "refresh_devices", instance).success
    first = run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY)
    assert first.success
    assert check_account(lake) == [len(home.messages)]
    held = contents(lake)
    assert differences(held, contents(expected)) == {}
    for name in LAKE_JOB:
        assert partitions(instance, name) == {str(FIRST_DAY), str(SECOND_DAY)}
        assert late_days(first, name) == set()
        assert metadata(first, name)["dagster/row_count"] == held[name].total()
    told = metadata(first, "frames")
    assert told["fields"].startswith("![fields](data:image/png;base64,")
    assert (told["rows"], told["quarantined"]) == (home.truth["frames"], len(home.messages) - home.truth["frames"])
    assert (told["offsets from"], told["offsets to"]) == ("[0]", f"[{len(home.messages)}]")
    assert told["days touched"] == f"{FIRST_DAY}, {SECOND_DAY}"
    assert told["lag left"] == 0
    assert told["seconds"] > 0
    assert told["messages a second"] > 0
    reasons = {key: count for key, count in metadata(first, "quarantine").items() if key.startswith("reason: ")}
    assert sum(reasons.values()) == told["quarantined"]

    second = run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY)
    told = metadata(second, "frames")
    assert (told["rows"], told["offsets from"], told["days touched"]) == (0, f"[{len(home.messages)}]", "")
    assert all(late_days(second, name) == set() for name in LAKE_JOB)
    assert differences(contents(lake), contents(expected)) == {}


def test_late_days_are_reported_as_their_own_partitions(
    kafka: Server, expected: Lake, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = household()
    settings = settings_of(topic_with(kafka, home.messages), tmp_path / "lake", devices_path=home.devices(tmp_path))
    assert run_job(settings, "refresh_devices", instance).success
    run = run_job(settings, "lake", instance, SECOND_DAY)
    assert run.success
    for name in LAKE_JOB:
        assert late_days(run, name) == {str(FIRST_DAY)}, name
        assert partitions(instance, name) == {str(SECOND_DAY)} | late_days(run, name)
    # No day waits to be asked for: late frames are in every table at once.
    assert differences(contents(lake_of(settings)), contents(expected)) == {}
    # Nothing is late when it comes again for the day that it was asked for.
    again = run_job(settings, "lake", instance, SECOND_DAY)
    assert {name: late_days(again, name) for name in LAKE_JOB} == {name: set() for name in LAKE_JOB}


def test_asset_by_asset_and_a_backfill_of_a_range(
    kafka: Server, expected: Lake, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = household()
    topic = topic_with(kafka, home.messages[:3000])
    settings = settings_of(topic, tmp_path / "lake", devices_path=home.devices(tmp_path))
    lake = lake_of(settings)
    assert materialise(settings, "devices", instance).success
    # Without its upstream's rows a table is empty, and catches up when they are there.
    early = materialise(settings, "probes", instance, FIRST_DAY)
    assert metadata(early, "probes")["dagster/row_count"] == 0
    assert materialise(settings, "frames", instance, FIRST_DAY).success
    assert check_account(lake) == [3000]
    topic.publish(home.messages[3000:])
    for name in ["frames", *FOLLOWERS]:
        assert materialise(settings, name, instance, SECOND_DAY).success
    assert differences(contents(lake), contents(expected)) == {}
    held = versions(lake)
    backfill = run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY)
    assert metadata(backfill, "frames")["rows"] == 0
    assert {name: lake.open(name).version for name in ("frames", "quarantine")} == {
        name: held[name] for name in ("frames", "quarantine")
    }
    assert differences(contents(lake), contents(expected)) == {}


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_rebuilt_day_has_todays_devices_and_leaves_no_orphan(
    kafka: Server, instance: dg.DagsterInstance, tmp_path: Path, one_by_one: bool
) -> None:
    # Long enough for a device that is heard on both days.
    home = household(40)
    settings = settings_of(topic_with(kafka, home.messages), tmp_path / "lake", devices_path=home.devices(tmp_path))
    lake = lake_of(settings)
    run_job(settings, "refresh_devices", instance)
    run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY)
    names = f"""SELECT day, source_device_name AS name FROM probes_enriched
        WHERE source_address = '{DOORBELL}' GROUP BY ALL ORDER BY day"""
    assert ask(lake, names) == [{"day": FIRST_DAY, "name": "Doorbell"}, {"day": SECOND_DAY, "name": "Doorbell"}]
    untouched = {name: lake.open(name).version for name in ("frames", "probes", "packet_stats")}

    rename(tmp_path, DOORBELL, "Klingel <neu>")
    assert materialise(settings, "devices", instance).success
    rebuilt = ("probes_enriched", *(name for name in FOLLOWERS if name.startswith(("probe_stats", "networks"))))
    for day in (FIRST_DAY, SECOND_DAY):
        if one_by_one:
            for name in rebuilt:
                assert materialise(settings, name, instance, day).success
        else:
            assert run_job(settings, "lake", instance, day).success
        if day == FIRST_DAY:
            assert ask(lake, names) == [
                {"day": FIRST_DAY, "name": "Klingel <neu>"},
                {"day": SECOND_DAY, "name": "Doorbell"},
            ]
            half = ask(
                lake,
                "SELECT source FROM probe_stats_by_source_device WHERE source LIKE '%bell' OR source LIKE 'Kling%'",
            )
            assert {row["source"] for row in half} == {"Doorbell", "Klingel <neu>"}
    if one_by_one:
        assert {name: lake.open(name).version for name in untouched} == untouched
    stale = {
        name: ask(lake, f"SELECT count(*) AS n FROM {name} WHERE {column} = 'Doorbell'")[0]["n"]
        for name, column in (
            ("probes_enriched", "source_device_name"),
            ("probe_stats_by_source_day", "source"),
            ("probe_stats_by_source_device", "source"),
            ("networks_looked_for_day", "source_device_name"),
            ("networks_looked_for", "source_device_name"),
        )
    }
    assert stale == dict.fromkeys(stale, 0)
    # As if it had had this name from the first: the same tables out of a new lake.
    fresh = ingested(settings.model_copy(update={"lake": str(tmp_path / "fresh")}))
    assert differences(contents(lake), contents(fresh) | {"device_names": contents(lake)["device_names"]}) == {}
    assert ask(lake, "SELECT event, old_name, new_name FROM device_names WHERE event = 'renamed'") == [
        {"event": "renamed", "old_name": "Doorbell", "new_name": "Klingel <neu>"}
    ]


def test_stale_rows_of_a_day_go_even_if_nothing_takes_their_place(
    kafka: Server, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = household()
    settings = settings_of(topic_with(kafka, home.messages), tmp_path / "lake", devices_path=home.devices(tmp_path))
    lake = ingested(settings)
    # Somebody else removed a day of the frames, by any tool that knows Delta.
    lake.open("frames").delta.delete(f"day = '{FIRST_DAY}'")
    for name in FOLLOWERS:
        assert materialise(settings, name, instance, FIRST_DAY).success
    for name in TABLES_WITH_DAYS:
        if name != "quarantine":
            assert str(FIRST_DAY) not in days_of(lake, name), name
    assert days_of(lake, "packet_stats") == {str(SECOND_DAY)}
    assert ask(lake, "SELECT min(first_seen) >= DATE '2026-03-02' AS clean FROM networks_looked_for") == [
        {"clean": True}
    ]


def test_frames_never_replaces_stored_frames_with_fewer(
    kafka: Server, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home = household()
    topic = topic_with(kafka, home.messages)
    settings = settings_of(topic, tmp_path / "lake")
    lake = ingested(settings)
    before = contents(lake)
    topic.publish(home.messages[1:2])
    for _ in range(2):
        assert materialise(settings, "frames", instance, FIRST_DAY).success
    (one_more,) = (contents(lake)["frames"] - before["frames"]).elements()
    assert f"'kafka_offset': {len(home.messages)}" in one_more
    assert before["frames"] - contents(lake)["frames"] == {}


# ---------------------------------------------------------------- reparse, as a run


def test_reparse_as_run_config(kafka: Server, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    home = household()
    topic = topic_with(kafka, home.messages)
    narrow = settings_of(topic, tmp_path / "lake", devices_path=home.devices(tmp_path), first_day=SECOND_DAY)
    lake = ingested(narrow)
    assert days_of(lake, "frames") == {str(SECOND_DAY)}
    wide = narrow.model_copy(update={"first_day": FIRST_DAY})
    run = run_job(wide, "lake", instance, FIRST_DAY, SECOND_DAY, run_config=config("frames", reparse=True))
    assert metadata(run, "frames")["days touched"] == f"{FIRST_DAY}, {SECOND_DAY}"
    check_account(lake)
    fresh = ingested(wide.model_copy(update={"lake": str(tmp_path / "fresh")}))
    assert differences(contents(lake), contents(fresh)) == {}


# ---------------------------------------------------------------- what goes wrong


def test_kafka_away_ends_the_run_with_one_sentence_and_changes_nothing(
    kafka: Server, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wifi_assets.resources.kafka.ANSWER_SECONDS", 2)
    home = household()
    topic = topic_with(kafka, home.messages[:500])
    settings = settings_of(topic, tmp_path / "lake")
    lake = ingested(settings)
    before, port = versions(lake), free_port()
    away = settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{port}"})
    run = run_job(away, "lake", instance, FIRST_DAY)
    assert failure(run).startswith(f"Kafka at 127.0.0.1:{port}, topic {topic.name}: ")
    assert "WIFI_KAFKA_BOOTSTRAP" in failure(run)
    assert versions(lake) == before
    assert all(partitions(instance, name) == set() for name in LAKE_JOB)
    # What is in the lake can be rebuilt without Kafka.
    assert materialise(away, "packet_stats", instance, FIRST_DAY).success


def test_a_table_of_another_type_ends_the_run_with_one_sentence(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, lake=str(tmp_path / "lake"))
    place = lake_of(settings).uri("rts")
    write_deltalake(place, pa.table({"kafka_offset": pa.array(["7"])}))
    assert failure(materialise(settings, "rts", instance, FIRST_DAY)).startswith(
        f"table rts at {place}: column kafka_offset is stored as string, this version of wifi_assets has int64; "
    )
    assert pa.table(DeltaTable(place).to_pyarrow_table()).to_pylist() == [{"kafka_offset": "7"}]


# ---------------------------------------------------------------- what the definitions say


def test_every_asset_says_what_it_is(tmp_path: Path) -> None:
    defs = build_defs(Settings(_env_file=None, lake=str(tmp_path / "lake")))
    graph = defs.resolve_asset_graph()
    for name, table in TABLES.items():
        node = graph.get(dg.AssetKey(name))
        assert node.description == table.description
        assert node.owners == ["team:wifi_assets"]
        assert "deltalake" in node.kinds
        assert node.group_name in {"raw", "split", "devices", "enriched", "aggregates"}
        columns = node.metadata["dagster/column_schema"].columns
        assert [(column.name, column.description) for column in columns] == [
            (column, text) for column, (_, text) in table.columns.items()
        ]
        assert all(column.description for column in columns)
        assert {column.name for column in columns if not column.constraints.nullable} == set(table.key)
        upstream = {table.upstream} if table.upstream else {key for key in ("frames",) if name == "quarantine"}
        assert {key.path[-1] for key in node.parent_keys} >= upstream
        days = name not in ("devices", "device_names")
        assert (node.partitions_def is not None) is days
    assert {key.path[-1] for key in graph.get(dg.AssetKey("probes_enriched")).parent_keys} == {"probes", "devices"}


def test_a_range_of_days_is_one_run(tmp_path: Path) -> None:
    graph = build_defs(Settings(_env_file=None, lake=str(tmp_path / "lake"))).resolve_asset_graph()
    for name in LAKE_JOB:
        node = graph.get(dg.AssetKey(name))
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.partitions_def.get_first_partition_key() == str(date(2000, 1, 1))


def test_a_run_tells_no_more_than_it_should(kafka: Server, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """What was heard in the air is in the tables alone: no event of a run quotes an SSID or a name."""
    home = household()
    settings = settings_of(topic_with(kafka, home.messages), tmp_path / "lake", devices_path=home.devices(tmp_path))
    runs = [
        run_job(settings, "refresh_devices", instance),
        run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY),
    ]
    told = everything_told(instance, runs)
    assert "packet_stats" in told
    assert "Grandma" not in told
    assert "Birkenweg" not in told
