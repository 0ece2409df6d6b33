"""The charts' questions to Elasticsearch, each as a search body.

Here belongs what a chart asks for; Kibana sends these bodies as they stand here. Not here: how the
answer is drawn and how Kibana stores that (``saved_objects.py``).

Every body ends in flat buckets under ``BUCKETS``: ``{"key": {"time": epoch ms, "series": …},
"doc_count": …, "value": {"value": …}}``, the newest first, so that of too many the oldest are missing.
Times are cut into slices from 1970-01-01T00:00Z on; a chart of days shows days in UTC.
"""

from dataclasses import dataclass
from typing import Any, Literal

from wifi_assets.resources.elasticsearch_documents import TARGETS, Target

#: Where in an answer the buckets are.
BUCKETS = "aggregations.kept.slices.buckets"
#: The most buckets of one answer: what a browser still draws, and below the 65,536 that a server makes.
MOST_BUCKETS = 20_000


@dataclass(frozen=True)
class Chart:
    """One question.

    Attributes:
        name: Id of the saved object.
        title: What Kibana's users read.
        table: Lake table whose documents are asked.
        slice_seconds: Length of a slice of time, s.
        series: Field whose values are told apart; None for none.
        series_title: What it means, for the axis or legend.
        value: Aggregation of a slice; None counts documents.
        value_title: What it means, with its unit.
        keep: Which documents take part.
        drawn_as: A heat map has the series on its other axis, lines and bars have it as colour.
    """

    name: str
    title: str
    table: str
    slice_seconds: int
    series: str | None
    series_title: str
    value: dict[str, Any] | None
    value_title: str
    keep: tuple[dict[str, Any], ...]
    drawn_as: Literal["heat map", "bars", "lines"]

    @property
    def target(self) -> Target:
        """The indices that are asked."""
        return TARGETS[self.table]

    @property
    def body(self) -> dict[str, Any]:
        """The search body; Kibana adds the dashboard's time range and filters as its query."""
        slices: list[dict[str, Any]] = [
            {
                "time": {
                    "date_histogram": {
                        "field": "event_time",
                        "fixed_interval": f"{self.slice_seconds}s",
                        "order": "desc",
                    }
                }
            }
        ]
        if self.series is not None:
            slices.append({"series": {"terms": {"field": self.series}}})
        composite: dict[str, Any] = {"composite": {"size": MOST_BUCKETS, "sources": slices}}
        if self.value is not None:
            composite["aggs"] = {"value": self.value}
        return {
            "size": 0,
            "track_total_hits": False,
            "aggs": {"kept": {"filter": {"bool": {"filter": list(self.keep)}}, "aggs": {"slices": composite}}},
        }


_MEAN_SIGNAL = {"avg": {"field": "signal_dbm"}}
_HAS_SIGNAL = {"exists": {"field": "signal_dbm"}}

CHARTS = (
    Chart(
        name="wifi-assets-signal-by-device",
        title="Wi-Fi: mean signal of each known device in 3 hours",
        table="probes_enriched",
        slice_seconds=3 * 3600,
        series="source_device_name",
        series_title="device",
        value=_MEAN_SIGNAL,
        value_title="mean signal, dBm",
        keep=({"term": {"is_known_device": True}}, _HAS_SIGNAL),
        drawn_as="heat map",
    ),
    Chart(
        name="wifi-assets-addresses-by-day",
        title="Wi-Fi: different addresses that sent probe requests, by day",
        table="probes_enriched",
        slice_seconds=24 * 3600,
        series=None,
        series_title="",
        # Exact up to this many, estimated beyond; the server takes no more.
        value={"cardinality": {"field": "source_address", "precision_threshold": 40_000}},
        value_title="addresses",
        keep=(),
        drawn_as="bars",
    ),
    Chart(
        name="wifi-assets-probes-by-hour",
        title="Wi-Fi: probe requests by hour, of known and of other devices",
        table="probes_enriched",
        slice_seconds=3600,
        series="is_known_device",
        series_title="known device",
        value=None,
        value_title="probe requests",
        keep=(),
        drawn_as="bars",
    ),
    Chart(
        name="wifi-assets-signal-by-address",
        title="Wi-Fi: mean signal of each source address in 30 seconds",
        table="frames",
        slice_seconds=30,
        series="source_address",
        series_title="source address",
        value=_MEAN_SIGNAL,
        value_title="mean signal, dBm",
        keep=(_HAS_SIGNAL,),
        drawn_as="lines",
    ),
)
