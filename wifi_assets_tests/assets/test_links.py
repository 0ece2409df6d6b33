"""The links to Kibana and to Neo4j Browser: on the assets where an address is set, and never with a password."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr, ValidationError

from wifi_assets.assets.links import links
from wifi_assets.assets.sinks import SINKS
from wifi_assets.definitions import build_defs
from wifi_assets.kibana.saved_objects import saved_objects
from wifi_assets.settings import Settings

KIBANA, BROWSER = "http://house:5601/", "https://house:7474/browser"


def settings(tmp_path: Path, **others: Any) -> Settings:
    return Settings(
        _env_file=None,
        lake=str(tmp_path / "lake"),
        sql_url=SecretStr(f"sqlite:///{tmp_path}/wifi.db"),
        elasticsearch_url=SecretStr("http://127.0.0.1:1"),
        neo4j_url=SecretStr("bolt://127.0.0.1:1"),
        **others,
    )


def urls(defs: dg.Definitions, asset: str) -> list[str]:
    node = defs.resolve_asset_graph().get(dg.AssetKey(asset))
    return [value.value for value in node.metadata.values() if isinstance(value, dg.UrlMetadataValue)]


def test_every_copy_links_to_what_kibana_has_saved(tmp_path: Path) -> None:
    defs = build_defs(settings(tmp_path, kibana_url=KIBANA, neo4j_browser_url=BROWSER))
    ids = {saved["id"] for saved in saved_objects() if saved["type"] == "index-pattern"}
    for asset in SINKS["elasticsearch"]:
        rows, charts = urls(defs, asset)
        view = rows.removeprefix("http://house:5601/app/discover#/?_a=(dataSource:(dataViewId:'").partition("'")[0]
        assert view in ids
        ids.remove(view)
        kept = charts.removeprefix("http://house:5601/app/dashboards#/view/")
        assert kept in {saved["id"] for saved in saved_objects() if saved["type"] == "dashboard"}
    assert not ids
    (browser,) = urls(defs, "neo4j_device_graph")
    assert browser.startswith("https://house:7474/browser/?cmd=edit&arg=MATCH%20%28")
    for asset in SINKS["postgres"]:
        assert urls(defs, asset) == []


def test_without_an_address_there_is_no_link(tmp_path: Path) -> None:
    defs = build_defs(settings(tmp_path))
    assert [url for sinks in SINKS.values() for asset in sinks for url in urls(defs, asset)] == []


def test_a_run_tells_the_link_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"Kibana: rows": dg.MetadataValue.url("http://house:5601/rows")}
    monkeypatch.setattr("wifi_assets.assets.sinks.links", lambda *_: shown)
    job = build_defs(settings(tmp_path)).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(asset_selection=[dg.AssetKey("postgres_packet_stats")])
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["Kibana: rows"] == shown["Kibana: rows"]


@pytest.mark.parametrize("name", ["kibana_url", "neo4j_browser_url"])
@pytest.mark.parametrize("wrong", ["http://elastic:secret@house:5601", "house:5601", "javascript:alert(1)", "http://"])
def test_an_address_with_a_password_or_without_a_scheme_is_refused(tmp_path: Path, name: str, wrong: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(tmp_path, **{name: wrong})
    assert name in str(error.value)
    assert "secret" not in str(error.value)


def test_other_targets_have_none(tmp_path: Path) -> None:
    assert links(settings(tmp_path, kibana_url=KIBANA, neo4j_browser_url=BROWSER), "postgres", "packet_stats") == {}
