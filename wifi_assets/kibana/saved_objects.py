"""Kibana's saved objects: data views, the charts and a dashboard of them, as its import takes them.

Here belongs how a chart is drawn and stored. Not here: what it asks (``charts.py``). The file
``wifi_assets.ndjson`` beside this one is made by ``python -m wifi_assets.kibana.saved_objects``; import it
in Kibana under Stack Management, Saved Objects.

The charts are Vega-Lite: the search body is in them as it is in ``charts.py``, and Kibana's time range
and filters apply. All ids are fixed, so that an import replaces what an earlier one brought.
"""

import json
from pathlib import Path
from typing import Any

from wifi_assets.kibana import DASHBOARD, data_view_id
from wifi_assets.kibana.charts import BUCKETS, CHARTS, Chart
from wifi_assets.resources.elasticsearch_documents import TARGETS, Target

FILE = Path(__file__).with_name("wifi_assets.ndjson")

# Versions of the formats written here; a newer Kibana brings them up to its own as it imports them.
_CORE_VERSION = "8.8.0"
_TYPE_VERSIONS = {"index-pattern": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}

#: Width of Kibana's dashboard grid, columns, and a panel's height, rows.
_GRID_WIDTH = 48
_PANEL_HEIGHT = 16


def saved_objects() -> list[dict[str, Any]]:
    """All saved objects, each after those that it refers to."""
    views = [_data_view(target) for target in TARGETS.values()]
    charts = [_visualization(chart) for chart in CHARTS]
    return [*views, *charts, _dashboard(charts)]


def ndjson() -> str:
    """The saved objects, one JSON object a line."""
    return "".join(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n" for entry in saved_objects())


def _saved_object(kind: str, id_: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": id_,
        "type": kind,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": _CORE_VERSION,
        "typeMigrationVersion": _TYPE_VERSIONS[kind],
        "managed": False,
    }


def _data_view(target: Target) -> dict[str, Any]:
    time = "event_time" if target.table.partitioned else "latest_probe"
    attributes = {"title": target.pattern, "name": f"Wi-Fi: {target.table.name}", "timeFieldName": time}
    return _saved_object("index-pattern", data_view_id(target.table.name), attributes, [])


def vega(chart: Chart) -> dict[str, Any]:
    """The chart as Vega-Lite, with Kibana's own ``data.url``."""
    value = {"field": "value.value" if chart.value else "doc_count", "type": "quantitative"}
    value["title"] = chart.value_title
    start = {"field": "key.time", "type": "temporal", "title": None, "scale": {"type": "utc"}}
    series = {"field": "key.series", "type": "nominal", "title": chart.series_title}
    specification: dict[str, Any] = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {
            "url": {
                "%context%": True,
                "%timefield%": "event_time",
                "index": chart.target.pattern,
                "body": chart.body,
            },
            "format": {"property": BUCKETS},
        },
    }
    if chart.drawn_as == "lines":
        encoding = {
            "x": start,
            "y": value | {"scale": {"zero": False}},
            "color": series | {"legend": {"symbolLimit": 20}},
        }
        specification["mark"] = {"type": "line", "point": True, "tooltip": True}
    else:
        # A bar and a cell are as wide as their slice of time.
        end = f"datum.key.time + {chart.slice_seconds * 1000}"
        specification["transform"] = [{"calculate": end, "as": "until"}]
        encoding = {"x": start, "x2": {"field": "until"}}
        if chart.drawn_as == "heat map":
            specification["mark"] = {"type": "rect", "tooltip": True}
            encoding |= {"y": series, "color": value | {"scale": {"scheme": "viridis"}}}
        else:
            specification["mark"] = {"type": "bar", "tooltip": True}
            # Else two ends make it lie down.
            encoding["x"] = start | {"bin": "binned"}
            encoding["y"] = value | {"stack": "zero"}
            if chart.series is not None:
                encoding["color"] = series
    specification["encoding"] = encoding
    return specification


def _visualization(chart: Chart) -> dict[str, Any]:
    state = {
        "title": chart.title,
        "type": "vega",
        "aggs": [],
        "params": {"spec": json.dumps(vega(chart), indent=2, ensure_ascii=False)},
    }
    attributes = {
        "title": chart.title,
        "description": "",
        "visState": json.dumps(state, ensure_ascii=False),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _SEARCH_SOURCE},
    }
    return _saved_object("visualization", chart.name, attributes, [])


_SEARCH_SOURCE = json.dumps({"query": {"query": "", "language": "kuery"}, "filter": []})


def _dashboard(charts: list[dict[str, Any]]) -> dict[str, Any]:
    panels = []
    references = []
    for number, chart in enumerate(charts):
        panel = str(number)
        place = {"x": 0, "y": number * _PANEL_HEIGHT, "w": _GRID_WIDTH, "h": _PANEL_HEIGHT, "i": panel}
        panels.append(
            {
                "type": chart["type"],
                "panelIndex": panel,
                "gridData": place,
                "embeddableConfig": {},
                "panelRefName": f"panel_{panel}",
            }
        )
        references.append({"name": f"{panel}:panel_{panel}", "type": chart["type"], "id": chart["id"]})
    attributes = {
        "title": "Wi-Fi: what is in the air",
        "description": "",
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-24h",
        "timeTo": "now",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _SEARCH_SOURCE},
    }
    return _saved_object("dashboard", DASHBOARD, attributes, references)


if __name__ == "__main__":
    FILE.write_text(ndjson())
