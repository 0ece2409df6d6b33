"""The saved objects: the file is what the code makes, and Kibana's import finds all that it needs."""

import json

from wifi_assets.kibana.charts import CHARTS
from wifi_assets.kibana.saved_objects import FILE, ndjson, vega
from wifi_assets.resources.elasticsearch_documents import TARGETS
from wifi_assets.schemas import TABLES

OBJECTS = [json.loads(line) for line in FILE.read_text().splitlines()]


def test_the_file_is_what_the_code_makes() -> None:
    assert FILE.read_text() == ndjson(), "python -m wifi_assets.kibana.saved_objects makes it anew"


def test_each_object_has_what_the_import_needs() -> None:
    for entry in OBJECTS:
        assert isinstance(entry["id"], str)
        assert entry["type"] in ("index-pattern", "visualization", "dashboard")
        assert isinstance(entry["attributes"]["title"], str)
        assert isinstance(entry["references"], list)
        for version in ("coreMigrationVersion", "typeMigrationVersion"):
            assert [int(part) for part in entry[version].split(".")] >= [8, 0, 0]
    assert len({(entry["type"], entry["id"]) for entry in OBJECTS}) == len(OBJECTS)


def test_references_lead_to_objects_before() -> None:
    known = set()
    for entry in OBJECTS:
        assert {(r["type"], r["id"]) for r in entry["references"]} <= known
        known.add((entry["type"], entry["id"]))


def test_a_data_view_for_each_target_with_a_time_of_its_table() -> None:
    views = {o["attributes"]["title"]: o["attributes"] for o in OBJECTS if o["type"] == "index-pattern"}
    assert set(views) == {target.pattern for target in TARGETS.values()}
    for target in TARGETS.values():
        assert views[target.pattern]["timeFieldName"] in TABLES[target.table.name].columns


def test_a_chart_holds_its_question_as_it_was_tested() -> None:
    charts = {o["id"]: o["attributes"] for o in OBJECTS if o["type"] == "visualization"}
    assert set(charts) == {chart.name for chart in CHARTS}
    for chart in CHARTS:
        state = json.loads(charts[chart.name]["visState"])
        assert state["type"] == "vega"
        specification = json.loads(state["params"]["spec"])
        assert specification == vega(chart)
        assert specification["data"]["url"]["body"] == chart.body
        assert specification["data"]["url"]["index"] == chart.target.pattern
        # Kibana refuses a body with a query where it is to put the dashboard's own.
        assert "query" not in chart.body
        json.loads(charts[chart.name]["kibanaSavedObjectMeta"]["searchSourceJSON"])


def test_the_dashboard_shows_every_chart() -> None:
    (dashboard,) = (o for o in OBJECTS if o["type"] == "dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    names = {reference["name"]: reference["id"] for reference in dashboard["references"]}
    shown = [names[f"{panel['panelIndex']}:{panel['panelRefName']}"] for panel in panels]
    assert shown == [chart.name for chart in CHARTS]
    assert all(panel["gridData"]["i"] == panel["panelIndex"] for panel in panels)
