"""``wifi-assets dev`` as a newcomer meets it: the pages of the Dagster UI in a real browser, over a live household."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from wifi_assets.demo.dev import _use
from wifi_assets.settings import Settings
from wifi_assets_tests.browser import chromium
from wifi_assets_tests.processes import BIN, DEPLOY, PATIENCE, answer, until
from wifi_assets_tests.services import free_port

#: Several runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)

#: What a page waits for, ms.
_PATIENCE_MS = PATIENCE * 1000


@dataclass
class Ui:
    """What runs.

    Attributes:
        url: Of the UI.
        instance: Tells which run it was that a page launched.
    """

    url: str
    instance: dg.DagsterInstance

    def launched(self, tag: str) -> dg.DagsterRun:
        """The run that a page launched, when it has ended well."""

        def ended() -> list[dg.DagsterRun]:
            return [run for run in self.instance.get_runs() if tag in run.tags and run.is_finished]

        (run,) = until(ended)
        assert run.is_success
        return run


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """With nothing set: an embedded broker and the household behind it."""
    folder = tmp_path_factory.mktemp("dev")
    (folder / "dagster").mkdir()
    shutil.copy(DEPLOY / "dagster.local.yaml", folder / "dagster" / "dagster.yaml")
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WIFI_", "DAGSTER_"))}
    command = [BIN / "wifi-assets", "dev", "--folder", folder, "--port", str(port)]
    with (folder / "dev.log").open("wb") as log:
        # In a folder without a .env, as on a fresh clone; and in a session of its own, so that nothing of it stays.
        dev = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: dev.poll() is not None or answer(f"{url}/server_info"))
        assert dev.poll() is None, (folder / "dev.log").read_text(errors="replace")[-4000:]
        with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
            yield Ui(url, instance)
        dev.send_signal(signal.SIGINT)
        dev.wait(PATIENCE)
        # The code server ends by itself when nobody calls it any more.
        until(lambda: not _processes_of(dev.pid))
    finally:
        for pid in _processes_of(dev.pid):
            os.kill(pid, signal.SIGKILL)


def _processes_of(session: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-quic"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1500, "height": 950})
    opened.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    yield opened
    opened.screenshot(path=tmp_path / "last.png")
    opened.close()


def test_the_graph_shows_the_way_of_the_data(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.url}/asset-groups")
    for group in ("raw", "split", "devices", "enriched", "aggregates", "sink_postgres"):
        expect(_shown(page, group)).to_be_visible()
    page.goto(f"{ui.url}/assets/probes_enriched?view=lineage&lineageScope=neighbors")
    for asset in ("probes", "devices", "probes_enriched", "probe_stats_by_source_day"):
        expect(_shown(page, asset)).to_be_visible()


def test_the_sensors_are_on_and_their_ticks_ask_for_runs(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.url}/automation")
    for sensor in ("kafka_lag_sensor", "sink_postgres_sensor", "unifi_devices_sensor"):
        expect(_shown(page, sensor)).to_be_visible()
    page.goto(f"{ui.url}/locations/wifi_assets.definitions/sensors/kafka_lag_sensor")
    expect(page.get_by_text(re.compile(r"^1 run requested$")).first).to_be_visible()
    page.goto(f"{ui.url}/runs")
    expect(page.get_by_text("kafka_lag_sensor").first).to_be_visible()


def test_a_check_shows_its_numbers(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.url}/assets/frames?view=checks&checkDetail=account")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    expect(page.get_by_text("by partition", exact=True).first).to_be_visible()
    shown = page.locator("body").inner_text()
    numbers = {name: int(found) for name, found in re.findall(r"^(\w+)\s*\n\s*(\d+)$", shown, re.MULTILINE)}
    assert numbers["offsets"] > 0
    assert numbers["rows"] + numbers["quarantined"] + numbers["unread"] == numbers["offsets"]


def test_a_day_is_materialised_and_shows_a_chart(ui: Ui, page: Page) -> None:
    today = str(datetime.now(UTC).date())
    # Of a day without a frame there is nothing to draw.
    until(lambda: today in ui.instance.get_materialized_partitions(dg.AssetKey("packet_stats")))
    _launch(page, ui, "packet_stats", today, "Launch 1 run")
    run = ui.launched("dagster/partition")
    found = ui.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    (event,) = [record for record in found if record.partition_key == today]
    page.goto(f"{ui.url}/assets/packet_stats?view=events&time={int(event.timestamp * 1000)}")
    expect(page.get_by_text(run.run_id[:8]).first).to_be_visible()
    page.get_by_text("Show Markdown").first.click()
    chart = page.get_by_role("dialog").get_by_role("img", name="subtype shares")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 100


def test_a_backfill_of_some_days_is_one_run(ui: Ui, page: Page) -> None:
    today = datetime.now(UTC).date()
    _launch(page, ui, "packet_stats", f"[{today - timedelta(days=3)}...{today}]", "Launch backfill")
    page.goto(f"{ui.url}/runs?view=backfills")
    expect(page.get_by_text("4 partitions").first).to_be_visible()
    ui.launched("dagster/backfill")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()


def test_the_household_goes_into_no_lake_or_target_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {
        "WIFI_LAKE": str(tmp_path / "own"),
        "WIFI_SQL_URL": f"sqlite:///{tmp_path}/own.db",
        "WIFI_ELASTICSEARCH_URL": "http://127.0.0.1:9",
        "WIFI_MONGO_URL": "mongodb://127.0.0.1:9",
    }
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / ".env").write_text("WIFI_NEO4J_URL=bolt://127.0.0.1:9\n")
    monkeypatch.chdir(tmp_path / "here")
    for name in [
        *own,
        "WIFI_KAFKA_BOOTSTRAP",
        "WIFI_KAFKA_TOPIC",
        "WIFI_DEVICES_PATH",
        "WIFI_LAG_SECONDS",
        "WIFI_FIRST_DAY",
    ]:
        # Set, so that what is changed is taken back; empty counts as not set.
        monkeypatch.setenv(name, "")
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "folder").mkdir()
    _use(tmp_path / "folder", "127.0.0.1:1", "other")
    settings = Settings()
    assert (settings.kafka_bootstrap, settings.kafka_topic) == ("127.0.0.1:1", "other")
    assert settings.lake == str(tmp_path / "folder" / "lake")
    assert settings.sql_url is not None
    assert settings.sql_url.get_secret_value() == f"sqlite:///{tmp_path}/folder/wifi.db"
    assert (settings.mongo_url, settings.elasticsearch_url, settings.neo4j_url) == (None, None, None)
    assert not (tmp_path / "own").exists()


def _shown(page: Page, text: str) -> Locator:
    """Its first place on the page that can be seen: the UI measures texts in places that can not."""
    return page.get_by_text(text, exact=True).filter(visible=True).first


def _launch(page: Page, ui: Ui, asset: str, days: str, button: str) -> None:
    """What a user does: the asset's page, "Materialize…", days, the button below."""
    page.goto(f"{ui.url}/assets/{asset}")
    page.get_by_role("button", name="Materialize").first.click()
    dialogue = page.get_by_role("dialog")
    # Offered as soon as the dialogue knows the days; what was chosen before is lost.
    dialogue.get_by_role("button", name="Latest", exact=True).click()
    range_of_days = dialogue.get_by_role("textbox").first
    range_of_days.fill(days)
    range_of_days.press("Enter")
    dialogue.get_by_role("button", name=button).click()
    expect(dialogue).to_be_hidden()
