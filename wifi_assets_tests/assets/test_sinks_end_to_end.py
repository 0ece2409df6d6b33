"""From the topic through Dagster into the real targets: they hold what the lake holds, whatever happens to either."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from wifi_assets.assets import sinks
from wifi_assets.capture.replay import Replayed, replay
from wifi_assets.changes import change_since
from wifi_assets.from_settings import lake_of, rules_of, topic_of
from wifi_assets.lake import Lake
from wifi_assets.reparse import reparse
from wifi_assets.resources import neo4j as neo4j_module
from wifi_assets.resources import neo4j_server
from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.producer import CheckedProducer
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import metadata, run_job
from wifi_assets_tests.assets.targets import Target, check_in_step, target_on
from wifi_assets_tests.assets.test_lake_assets import SECOND_DAY, rename
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import FIRST_DAY, ask, household, settings_of, topic_with

KINDS = ("postgres", "sqlite", "elasticsearch", "neo4j")
OLD, NEW = "weather-station", "Wetter' <b>`}) \u202e🌦"
MAC = "dc:a6:32:12:34:56"


@pytest.fixture(scope="module")
def household_lake(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The household, in every lake table, by Dagster."""
    folder = tmp_path_factory.mktemp("household")
    home = household()
    settings = settings_of(
        topic_with(kafka, home.messages, 2), folder / "lake", devices_path=home.devices(folder / "devices")
    )
    instance = dg.DagsterInstance.ephemeral()
    assert run_job(settings, "refresh_devices", instance).success
    assert run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY).success
    return settings


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture
def home(household_lake: Settings, tmp_path: Path) -> Settings:
    """A copy of the household's lake and of the controller's files, for one test to change."""
    shutil.copytree(Path(household_lake.lake).parent, tmp_path / "home")
    copied = {"lake": str(tmp_path / "home" / "lake"), "devices_path": tmp_path / "home" / "devices"}
    return household_lake.model_copy(update=copied)


def server_of(kind: str, request: pytest.FixtureRequest) -> Server | None:
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    assert server is None or isinstance(server, Server)
    return server


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    kind = request.param
    with target_on(kind, server_of(kind, request), tmp_path) as target:
        yield target


@pytest.fixture
def targets(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Target]]:
    """One of each that has a server."""
    with ExitStack() as stack:
        kinds = [kind for kind in KINDS if kind != "sqlite"]
        yield {kind: stack.enter_context(target_on(kind, server_of(kind, request), tmp_path)) for kind in kinds}


def with_targets(settings: Settings, *targets: Target) -> Settings:
    update: dict[str, Any] = {}
    for target in targets:
        update |= target.settings
    return settings.model_copy(update=update)


def sink(settings: Settings, target: Target, instance: dg.DagsterInstance) -> tuple[int, int]:
    """One run of a target's job; rows written and deleted over its assets."""
    run = run_job(with_targets(settings, target), target.job, instance)
    told = [metadata(run, name) for name in target.assets]
    return sum(one["rows written"] for one in told), sum(one["rows deleted"] for one in told)


def relabelled(settings: Settings, instance: dg.DagsterInstance) -> Lake:
    """The lake after a device got another name and both days were rebuilt."""
    assert settings.devices_path is not None
    rename(settings.devices_path, MAC, NEW)
    assert run_job(settings, "refresh_devices", instance).success
    assert run_job(settings, "lake", instance, FIRST_DAY, SECOND_DAY).success
    return lake_of(settings)


# ---------------------------------------------------------------- the household


def test_the_target_holds_what_the_lake_holds_and_a_repeat_changes_nothing(
    home: Settings, target: Target, instance: dg.DagsterInstance
) -> None:
    lake = lake_of(home)
    written, deleted = sink(home, target, instance)
    assert (written, deleted) == (sum(len(list(_sized(rows))) for rows in _tables(target.expected(lake))), 0)
    check_in_step(target, lake)
    assert sink(home, target, instance) == (0, 0)
    # Recomputed and merged, but the same.
    assert run_job(home, "lake", instance, FIRST_DAY, SECOND_DAY).success
    for name in ("frames", "probes_enriched", "packet_stats", "networks_looked_for"):
        lake.compact(name, at_least=1)
    assert sink(home, target, instance) == (0, 0)
    check_in_step(target, lake)


def _tables(contents: dict[str, Any]) -> Iterator[Any]:
    """The tables among a target's contents; of the graph's, the edges are the rows."""
    yield from ([contents["edges"]] if "edges" in contents else contents.values())


def _sized(rows: Any) -> Any:
    return rows.elements() if isinstance(rows, Counter) else rows


def test_a_renamed_device_leaves_no_orphan(home: Settings, target: Target, instance: dg.DagsterInstance) -> None:
    sink(home, target, instance)
    assert OLD in repr(target.held())
    lake = relabelled(home, instance)
    sink(home, target, instance)
    check_in_step(target, lake)
    assert OLD not in repr(target.held())
    assert "Wetter" in repr(target.held())


def test_a_backfilled_day_replaces_that_day(home: Settings, target: Target, instance: dg.DagsterInstance) -> None:
    sink(home, target, instance)
    # By other rules the first day's frames are none of ours, and later they are again.
    narrow = home.model_copy(update={"first_day": SECOND_DAY})
    asked = (FIRST_DAY, SECOND_DAY)
    lake = lake_of(home)
    before = target.held()
    for settings in (narrow, home):
        reparse(lake, topic_of(settings), rules_of(settings), set(asked))
        assert run_job(home, "lake", instance, *asked).success
        written, deleted = sink(home, target, instance)
        assert deleted > 10 if settings is narrow else written > 10
        check_in_step(target, lake)
    assert target.held() == before


def test_days_that_retention_took_leave_the_target(
    home: Settings, target: Target, instance: dg.DagsterInstance
) -> None:
    sink(home, target, instance)
    tables = [name for name, table in TABLES.items() if table.partitioned]
    days = (datetime.now(UTC).date() - SECOND_DAY).days
    kept = home.model_copy(update={"keep": dict.fromkeys(tables, days)})
    assert run_job(kept, "maintenance", instance).success
    # Asked for as well, the day that is gone stays gone.
    assert run_job(kept, "lake", instance, FIRST_DAY, SECOND_DAY).success
    assert sink(kept, target, instance)[1] > 10
    lake = lake_of(home)
    check_in_step(target, lake)
    midnight = datetime.combine(SECOND_DAY, time(), UTC)
    assert all(min(lake.open(name).days()) >= SECOND_DAY for name in tables if name != "quarantine")
    assert ask(lake, "SELECT min(earliest_probe) AS first FROM probe_stats_by_source_device")[0]["first"] >= midnight
    assert ask(lake, "SELECT min(first_seen) AS first FROM networks_looked_for")[0]["first"] >= midnight
    checks = run_job(with_targets(kept, target), "checks", instance).get_asset_check_evaluations()
    failed = {f"{one.asset_key.to_user_string()} {one.check_name}" for one in checks if not one.passed}
    # The household was heard in the past, and some of its messages are broken.
    assert failed <= {"frames fresh", "quarantine share"}
    assert len(checks) > 50


# ---------------------------------------------------------------- servers that go away


@contextmanager
def killing(monkeypatch: pytest.MonkeyPatch, server: Server, after: int, rows: int) -> Iterator[Event]:
    """Kill the server, from a thread, when a sink has taken so many batches of so many rows of a change."""
    now, dead = Event(), Event()

    def kill() -> None:
        now.wait()
        server.kill()
        dead.set()

    @contextmanager
    def slowly(lake: Lake, name: str, progress: Progress | None) -> Iterator[Change | None]:
        with change_since(lake, name, progress) as change:
            if change is None:
                yield None
                return
            upserts = change.upserts

            def batches() -> Iterator[pa.RecordBatch]:
                taken = 0
                for batch in upserts:
                    for start in range(0, batch.num_rows, rows):
                        if taken == after:
                            now.set()
                            assert dead.wait(60)
                        taken += 1
                        yield batch.slice(start, rows)

            reader = pa.RecordBatchReader.from_batches(change.table.schema, batches())
            yield Change(change.table, change.progress, reader, change.deletes, change.full)

    thread = Thread(target=kill)
    thread.start()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(sinks, "change_since", slowly)
            yield dead
    finally:
        now.set()
        thread.join()
        server.start()


def sentences(run: dg.ExecuteInProcessResult) -> list[str]:
    """What each failed step of a run said."""
    said = [event.step_failure_data.user_failure_data for event in run.all_events if event.is_step_failure]
    return [str(one and one.description) for one in said]


@pytest.mark.parametrize("kind", ["postgres", "elasticsearch", "neo4j"])
def test_a_server_killed_in_the_middle_and_started_again(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    kafka: Server,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    kind: str,
) -> None:
    monkeypatch.setattr(neo4j_module, "SORTED_ROWS", 20)
    monkeypatch.setattr(neo4j_module, "TRANSACTION_ROWS", 10)
    monkeypatch.setattr(neo4j_server, "RETRY_SECONDS", 1.0)
    server, life = server_of(kind, request), household()
    assert server is not None
    topic = topic_with(kafka, life.messages[:3000])
    plain = settings_of(topic, tmp_path / "lake", devices_path=life.devices(tmp_path / "devices"))
    lake = lake_of(plain)
    with target_on(kind, server, tmp_path) as target:
        settings = with_targets(plain, target)
        assert run_job(settings, "refresh_devices", instance).success
        assert run_job(settings, "lake", instance, FIRST_DAY).success
        sink(settings, target, instance)
        check_in_step(target, lake)
        # Much that is new, and, by the new name, some that goes.
        topic.publish(life.messages[3000:])
        relabelled(settings, instance)
        with killing(monkeypatch, server, after=2, rows=10) as dead:
            run = run_job(settings, target.job, instance)
        assert dead.is_set()
        assert sentences(run)
        for sentence in sentences(run):
            assert f"127.0.0.1:{server.port}" in sentence
            assert "\n" not in sentence
        written, _ = sink(settings, target, instance)
        assert written > 20
        check_in_step(target, lake)
        assert sink(settings, target, instance) == (0, 0)


def test_one_dead_target_fails_its_own_job_alone(
    home: Settings, targets: dict[str, Target], instance: dg.DagsterInstance
) -> None:
    for dead in targets:
        closed = {
            name: SecretStr(re.sub(r":\d+(?=/|$)", ":1", url.get_secret_value()))
            for name, url in targets[dead].settings.items()
            if name.endswith("url")
        }
        settings = with_targets(home, *targets.values()).model_copy(update=closed)
        for kind, target in targets.items():
            run = run_job(settings, target.job, instance)
            assert run.success is (kind != dead)
            # Each of its assets has tried for itself.
            assert len(sentences(run)) == (len(target.assets) if kind == dead else 0)
            assert all("127.0.0.1:1" in sentence for sentence in sentences(run))
    for target in targets.values():
        check_in_step(target, lake_of(home))


# ---------------------------------------------------------------- the graph's answers


def test_the_ready_queries_say_what_the_truth_says(
    request: pytest.FixtureRequest, home: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    truth = household().truth
    looked_for: dict[str, set[str]] = {}
    for row in truth["networks_looked_for"]:
        looked_for.setdefault(row["source_address"], set()).add(row["ssid"])
    known = {row["source_address"] for row in truth["networks_looked_for"] if row["is_known_device"]}
    with target_on("neo4j", server_of("neo4j", request), tmp_path) as target:
        sink(home, target, instance)
        ask_graph = target.graph.ask  # type: ignore[union-attr]

        pairs = {(row["mac"], row["other_mac"]): row["networks"] for row in ask_graph("same_networks")}
        assert pairs == {
            (one, other): sorted(looked_for[one] & looked_for[other])
            for one in looked_for
            for other in looked_for
            if one < other and looked_for[one] & looked_for[other]
        }
        networks = {row["network"] for row in ask_graph("wanted_networks")}
        assert networks == {ssid for ssids in looked_for.values() for ssid in ssids}
        assert {row["network"]: row["devices"] for row in ask_graph("wanted_networks") if row["devices"] > 1} == {
            row["ssid"]: len(row["source_addresses"]) for row in truth["shared_networks"]
        }
        assert sorted(row["mac"] for row in ask_graph("one_network_only")) == truth["one_network_only"]
        shared = {
            (row["mac"], row["network"]): row["stranger_macs"] for row in ask_graph("known_devices_and_strangers")
        }
        assert shared == {
            (mac, row["ssid"]): row["strangers"]
            for row in truth["shared_networks"]
            for mac in row["source_addresses"]
            if mac in known and row["strangers"]
        }
        assert shared
        alone = {
            mac: sorted(ssid for ssid in ssids if sum(ssid in other for other in looked_for.values()) == 1)
            for mac, ssids in looked_for.items()
        }
        assert {row["mac"]: sorted(row["networks"]) for row in ask_graph("networks_of_one_device")} == {
            mac: ssids for mac, ssids in alone.items() if ssids
        }
        same = {tuple(row["macs"]): row["networks"] for row in ask_graph("same_list")}
        lists: dict[tuple[str, ...], list[str]] = {}
        for mac, ssids in looked_for.items():
            lists.setdefault(tuple(sorted(ssids)), []).append(mac)
        assert {macs: set(ssids) for macs, ssids in same.items()} == {
            tuple(sorted(macs)): set(ssids) for ssids, macs in lists.items() if len(macs) > 1 and len(ssids) > 1
        }
        alike = {(row["mac"], row["stranger_mac"]): row["shared"] for row in ask_graph("strangers_like_known_devices")}
        assert alike == {
            (one, other): len(looked_for[one] & looked_for[other])
            for one in known
            for other in looked_for.keys() - known
            if looked_for[one] & looked_for[other]
        }
        history = {(row["mac"], row["network"]): row["probes"] for row in ask_graph("known_device_history")}
        assert history == {
            (row["source_address"], row["ssid"]): row["probes"]
            for row in truth["networks_looked_for"]
            if row["is_known_device"]
        }


# ---------------------------------------------------------------- real captures


def test_real_captures_through_kafka_the_lake_and_every_target(
    kafka: Server,
    captures: Path,
    targets: dict[str, Target],
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> None:
    topic = topic_with(kafka, partitions=3)
    producer = CheckedProducer({"bootstrap.servers": topic.bootstrap}, topic.name)
    sent = 0
    for name in ("lab-2023-10-20.pcap", "mixed-beacons-data.pcap.gz", "mixed-no-dbm.pcap.gz", "one-device-oppo.pcap"):
        outcome = Replayed(name)
        replay(captures / name, producer, outcome)
        assert outcome.problem is None
        sent += outcome.frames
    settings = settings_of(topic, tmp_path / "lake", first_day=FIRST_DAY.replace(year=2000))
    days = (FIRST_DAY, FIRST_DAY)
    assert run_job(settings, "lake", instance, *days).success
    lake = lake_of(settings)
    counted = (
        ask(lake, "SELECT count(*) AS n FROM frames")[0]["n"]
        + ask(lake, "SELECT count(*) AS n FROM quarantine")[0]["n"]
    )
    assert counted == sent
    with target_on("sqlite", None, tmp_path) as sqlite:
        for target in (*targets.values(), sqlite):
            written, _ = sink(settings, target, instance)
            assert written > 0
            check_in_step(target, lake)
            assert sink(settings, target, instance) == (0, 0)
