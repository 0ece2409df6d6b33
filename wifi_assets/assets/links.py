"""Where a person sees in a browser what a target holds: addresses in Kibana and in Neo4j's browser.

Here belongs only that. Not here: what Kibana shows (``kibana/``).
"""

from urllib.parse import quote

import dagster as dg

from wifi_assets.kibana import DASHBOARD, data_view_id
from wifi_assets.settings import Settings

#: What the browser opens with: some of the graph, ready to be run.
_SOME = "MATCH (source:source)-[looked:LOOKED_FOR_SSID]->(ssid:ssid) RETURN source, looked, ssid LIMIT 200"


def links(settings: Settings, target: str, table: str) -> dict[str, dg.UrlMetadataValue]:
    """Metadata of the asset that keeps ``table`` in ``target``; none where no address is set."""
    if target == "elasticsearch" and settings.kibana_url is not None:
        kibana = settings.kibana_url.rstrip("/")
        view = f"(dataSource:(dataViewId:'{data_view_id(table)}',type:dataView))"
        return {
            "Kibana: rows": dg.MetadataValue.url(f"{kibana}/app/discover#/?_a={view}"),
            "Kibana: charts": dg.MetadataValue.url(f"{kibana}/app/dashboards#/view/{DASHBOARD}"),
        }
    if target == "neo4j" and settings.neo4j_browser_url is not None:
        browser = settings.neo4j_browser_url.rstrip("/")
        return {"Neo4j Browser": dg.MetadataValue.url(f"{browser}/?cmd=edit&arg={quote(_SOME)}")}
    return {}
