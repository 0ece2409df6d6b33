"""What each lake table holds: one entry a table, columns with Arrow type, meaning and unit.

Here belongs the shape of the stored tables and the words that describe them; the Delta tables, the
Dagster column metadata, the schema checks and the sinks all read it from here. Not here: how the rows
come about (``sql/``) or how they are stored (``lake.py``).
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.string())
NUMBERS = pa.list_(pa.int64())

Kind = Literal["append", "recompute", "snapshot"]


@dataclass(frozen=True)
class Table:
    """One lake table.

    Attributes:
        name: Table, SQL and asset name.
        kind: ``append`` (rows follow the upstream's offsets), ``recompute`` (touched days are
            replaced) or ``snapshot`` (over all days; it has no ``day``).
        key: Columns that identify a row; sinks use them as primary key or document id.
        columns: name -> (Arrow type, description with the unit).
        description: One sentence for the asset page.
        upstream: The lake table that it is made from and whose progress it follows; None at the edge.
        folds: Columns of the groups of rows that new upstream rows change. The table's SQL then takes in
            what is stored of these groups, beside the new rows alone; if the groups are hours, it is given
            whole hours. Without, it is given whole days.
        crosses_midnight: A row may be made from upstream rows of several days; it belongs to the first of them.
    """

    name: str
    kind: Kind
    key: tuple[str, ...]
    columns: dict[str, tuple[pa.DataType, str]]
    description: str
    upstream: str | None = None
    folds: tuple[str, ...] = ()
    crosses_midnight: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in stored column order; only key columns refuse NULL."""
        return pa.schema([pa.field(name, kind, name not in self.key) for name, (kind, _) in self.columns.items()])

    @property
    def partitioned(self) -> bool:
        """True if the table has a ``day`` partition (event day, UTC)."""
        return "day" in self.columns

    @property
    def partition(self) -> str | None:
        """The column by whose values the files are kept apart: a day, so that other days' files stay as they are."""
        return next((name for name in ("day", "latest_day") if name in self.columns), None)


_DAY = {"day": (pa.date32(), "event day, UTC")}
_POSITION = {
    "topic_generation": (pa.int32(), "0, one more each time the topic was deleted and made again"),
    "kafka_partition": (pa.int32(), "Kafka partition of the message"),
    "kafka_offset": (pa.int64(), "Kafka offset of the message"),
}
_KEY = ("topic_generation", "kafka_partition", "kafka_offset")
_KAFKA_TIME = {"kafka_timestamp": (TIME, "timestamp of the Kafka message")}
_EVENT = {"event_time": (TIME, "when the sniffer heard the frame")}
_TYPE = {
    "frame_type": (pa.int32(), "802.11 type: 0 management, 1 control, 2 data, 3 extension"),
    "frame_subtype": (
        pa.int32(),
        "type x 16 + subtype, 0-63: probe request 4, beacon 8, RTS 27, CTS 28, ACK 29, null 36",
    ),
}
_RADIO = {
    "radio_channel": (pa.int32(), "channel number"),
    "signal_percentage": (pa.int32(), "signal strength, % (some drivers only)"),
    "signal_dbm": (pa.int32(), "signal strength, dBm"),
    "duration_us": (pa.int32(), "time on air, µs"),
}


def _address(role: str, meaning: str) -> dict[str, tuple[pa.DataType, str]]:
    return {
        f"{role}_address": (pa.string(), f"{meaning}, lower case with colons"),
        f"{role}_address_resolved": (
            pa.string(),
            f"{meaning} as tshark named it; differs between tshark versions",
        ),
    }


_RECEIVER = _address("receiver", "receiver (RA)")
_DESTINATION = _address("destination", "destination (DA)")
_TRANSMITTER = _address("transmitter", "transmitter (TA)")
_SOURCE = _address("source", "source (SA)")
_STATION = _address("station", "station (STAA)")
_INFORMATION_ELEMENTS = {
    "tag_number": (NUMBERS, "numbers of the information elements, in frame order"),
    "ext_tag_number": (NUMBERS, "extended numbers of the elements of number 255, in frame order"),
    "ht_capabilities": (pa.int32(), "HT capabilities' first 16 bits: HT Capability Information"),
}
_ELEMENTS = {"tagged_all": (pa.int64(), "count of tshark's tagged-parameter trees"), **_INFORMATION_ELEMENTS}
_VENDOR_TAGS = {
    "tag_vendor_data": (
        TEXTS,
        "vendor tags' data, hex, in frame order; shorter than tag_oui where tshark dissects",
    ),
    "tag_vendor_oui_type": (NUMBERS, "vendor tags' OUI types, in frame order"),
    "tag_oui": (NUMBERS, "vendor tags' OUIs, in frame order"),
}
_COUNTRY = {"country_code": (pa.string(), "country element's code")}
_WPS = {"wps_device_name": (pa.string(), "name that the device gives itself by WPS")}
_SSID = {
    "ssid": (
        pa.string(),
        "SSID as text, other than printable UTF-8 as \\xNN; '' wildcard or hidden; NULL no element",
    ),
    "ssid_bytes": (pa.binary(), "SSID as it was in the air"),
}
_FINGERPRINT = {"fingerprint": (pa.string(), "md5 of the three vendor tag lists; equal lists, equal fingerprint")}

TABLES: dict[str, Table] = {}


def _table(
    name: str,
    kind: Kind,
    key: tuple[str, ...],
    description: str,
    *columns: dict[str, tuple[pa.DataType, str]],
    upstream: str | None = None,
    folds: tuple[str, ...] = (),
    crosses_midnight: bool = False,
) -> None:
    merged: dict[str, tuple[pa.DataType, str]] = {}
    for group in columns:
        merged |= group
    TABLES[name] = Table(name, kind, key, merged, description, upstream, folds, crosses_midnight)


_table(
    "frames",
    "append",
    _KEY,
    "Every valid message of the topic, one row a frame.",
    _DAY, _POSITION, _KAFKA_TIME, _EVENT, _TYPE, _RADIO, _RECEIVER, _DESTINATION, _TRANSMITTER, _SOURCE, _STATION,
    _ELEMENTS, _VENDOR_TAGS, _COUNTRY, _WPS, _SSID,
)  # fmt: skip
_table(
    "quarantine",
    "append",
    _KEY,
    "Every message that is no row, with the reason.",
    {"day": (pa.date32(), "day of the Kafka timestamp, UTC")},
    _POSITION,
    _KAFKA_TIME,
    {
        "key": (pa.binary(), "message key"),
        "value": (pa.binary(), "message as it came; NULL for a tombstone"),
        "reason": (pa.string(), "why it is no row, from a fixed list"),
        "detail": (pa.string(), "the field and value at fault"),
    },
)


def _split(name: str, what: str, *columns: dict[str, tuple[pa.DataType, str]]) -> None:
    _table(name, "append", _KEY, f"The {what} among the frames.", _DAY, _POSITION, _EVENT, *columns,
           upstream="frames")  # fmt: skip


_split("probes", "probe requests (subtype 4)", _RADIO, _RECEIVER, _DESTINATION, _TRANSMITTER, _SOURCE, _ELEMENTS,
       _VENDOR_TAGS, _WPS, _SSID)  # fmt: skip
_split("beacons", "beacons (subtype 8)", _RADIO, _RECEIVER, _DESTINATION, _TRANSMITTER, _SOURCE, _ELEMENTS,
       _VENDOR_TAGS, _COUNTRY, _WPS, _SSID)  # fmt: skip
_split("rts", "requests to send (subtype 27)", _RADIO, _RECEIVER, _TRANSMITTER)
_split("cts", "clear-to-send frames (subtype 28)", _RADIO, _RECEIVER)
_split("acks", "acknowledgements (subtype 29)", _RADIO, _RECEIVER)
_split("nulls", "null data frames (subtype 36)", _RADIO, _RECEIVER, _DESTINATION, _TRANSMITTER, _SOURCE, _STATION)

_table(
    "devices",
    "snapshot",
    ("mac",),
    "The router's devices and users, one row a MAC.",
    {
        "mac": (pa.string(), "address, lower case with colons"),
        "source": (pa.string(), "collection it came from: ace.device or ace.user"),
        "name": (pa.string(), "name that the router shows"),
        "ip": (pa.string(), "address that the router gave"),
        "model": (pa.string(), "model, or the vendor for a user"),
        "type": (pa.string(), "device type of the controller (uap, usw, …)"),
        "is_guest": (pa.bool_(), "true for a guest of the network"),
    },
)
_table(
    "device_names",
    "append",
    ("mac", "at"),
    "When a device appeared, was renamed or vanished.",
    {
        "mac": (pa.string(), "address, lower case with colons"),
        "at": (TIME, "when the platform saw it"),
        "event": (pa.string(), "appeared, renamed or vanished"),
        "old_name": (pa.string(), "name before; NULL if it appeared or had none"),
        "new_name": (pa.string(), "name after; NULL if it vanished or has none"),
    },
)
_table(
    "probes_enriched",
    "append",
    _KEY,
    "Every probe request with the device behind it, its vendor and its fingerprint.",
    _DAY, _POSITION, _EVENT, _SOURCE,
    {
        "source_device_name": (pa.string(), "the device's name as of processing"),
        "is_known_device": (pa.bool_(), "true if the router knows the source address and it is no guest"),
    },
    _DESTINATION,
    {"signal_dbm": _RADIO["signal_dbm"]},
    _SSID,
    _INFORMATION_ELEMENTS,
    _VENDOR_TAGS,
    {
        "source_vendor": (pa.string(), "vendor of the source address (IEEE registry); NULL if randomised or unknown"),
        "is_randomised": (pa.bool_(), "true if the source address is locally administered"),
    },
    _FINGERPRINT,
    upstream="probes",
)  # fmt: skip
_table(
    "packet_stats",
    "recompute",
    ("day", "frame_subtype"),
    "Frames of each day and subtype.",
    _DAY,
    {
        "frame_subtype": _TYPE["frame_subtype"],
        "packet_count": (pa.int64(), "frames"),
        "earliest_time": (TIME, "first frame"),
        "latest_time": (TIME, "last frame"),
    },
    upstream="frames",
    folds=("day", "frame_subtype"),
)
_DBM_COUNTS = pa.map_(pa.int32(), pa.int64())
_SESSION = {
    "probe_count": (pa.int64(), "probe requests"),
    "source_addresses": (TEXTS, "distinct source addresses, sorted"),
    "first_probe": (TIME, "first probe request"),
    "last_probe": (TIME, "last probe request"),
    "min_signal_dbm": (pa.int32(), "weakest signal, dBm"),
    "max_signal_dbm": (pa.int32(), "strongest signal, dBm"),
    "signal_dbm_distribution": (_DBM_COUNTS, "dBm -> probe requests"),
}
_table(
    "session_fragments",
    "recompute",
    ("day", "fingerprint", "first_probe"),
    "Each day's part of the sessions, before they are joined over midnight; sessions of any size.",
    _DAY, _FINGERPRINT, _VENDOR_TAGS, _SESSION,
    upstream="probes_enriched",
    folds=("day", "fingerprint"),
)  # fmt: skip
_table(
    "oui_fingerprint_sessions",
    "recompute",
    ("day", "fingerprint", "first_probe"),
    "More than two source addresses that share a fingerprint with gaps of at most five minutes: one device, likely.",
    {"day": (pa.date32(), "day on which the session began, UTC")},
    _FINGERPRINT, _VENDOR_TAGS, _SESSION,
    {
        "source_address_count": (pa.int64(), "distinct source addresses"),
        "session_seconds": (pa.float64(), "from the first probe request to the last, s"),
        "signal_dbm_range": (pa.int32(), "strongest less weakest signal, dB"),
        "within_3_dbm": (
            pa.bool_(),
            "true if the signals lie within 3 dB of each other: by Moffatt's rule one device that did not move; "
            "NULL if no probe request has a signal",
        ),
        "oui_names": (TEXTS, "vendors of tag_oui (IEEE registry), distinct, sorted"),
    },
    upstream="session_fragments",
    crosses_midnight=True,
)  # fmt: skip
_table(
    "devices_estimated",
    "recompute",
    ("day", "hour"),
    "How many devices stand behind the random addresses of each hour, as an estimate with bounds.",
    _DAY,
    {
        "hour": (TIME, "start of the hour; hours without a random address have no row"),
        "probe_count": (pa.int64(), "probe requests from random addresses"),
        "random_addresses": (pa.int64(), "random source addresses: the naive count, far too high"),
        "fingerprints": (pa.int64(), "different sets of vendor tags and information elements among them"),
        "devices_estimated": (pa.int64(), "devices by radio, signal and time; its error is in docs/devices.md"),
        "devices_low": (pa.int64(), "devices by radio and time alone"),
        "devices_high": (pa.int64(), "devices if each set of elements, session and 3 dB of signal is another one"),
    },
    upstream="probes_enriched",
    folds=("day", "hour"),
)  # fmt: skip
_STATS = {
    "probes": (pa.int64(), "probe requests"),
    "earliest_probe": (TIME, "first probe request"),
    "latest_probe": (TIME, "last probe request"),
    "min_signal_dbm": (pa.int32(), "weakest signal, dBm"),
    "max_signal_dbm": (pa.int32(), "strongest signal, dBm"),
}
_SIGNALS = {
    "signal_dbm_sum": (pa.int64(), "sum of the signals, dBm"),
    "signal_dbm_count": (pa.int64(), "probe requests with a signal"),
}
_REACHED = {
    "probed_ssids": (TEXTS, "SSIDs looked for, distinct, sorted; without the wildcard"),
    "destinations": (TEXTS, "destination addresses, distinct, sorted"),
    "source_addresses": (TEXTS, "addresses that count as this source, distinct, sorted"),
}
_LATEST_DAY = {"latest_day": (pa.date32(), "day of the latest probe request, UTC")}
_WHO = {"source": (pa.string(), "device name, else resolved address, else address")}
_table(
    "probe_stats_by_source_day",
    "recompute",
    ("day", "source"),
    "Each day's part of the statistics by source.",
    _DAY, _WHO, _STATS, _SIGNALS, _REACHED,
    upstream="probes_enriched",
    folds=("day", "source"),
)  # fmt: skip
_table(
    "probe_stats_by_source_device",
    "snapshot",
    ("source",),
    "What each source did over all days: probes, signal, networks looked for.",
    _WHO, _STATS,
    {
        "avg_signal_dbm": (pa.float64(), "mean signal, dBm"),
        "unique_ssids": (pa.int64(), "number of probed_ssids"),
        "unique_destinations": (pa.int64(), "number of destinations"),
    },
    _SIGNALS, _REACHED, _LATEST_DAY,
    upstream="probe_stats_by_source_day",
    folds=("source",),
)  # fmt: skip
_LOOKED_FOR = {
    "source_address": (pa.string(), "source (SA), lower case with colons"),
    "ssid": (pa.string(), "SSID as text; without the wildcard"),
    "probes": (pa.int64(), "probe requests"),
    "first_seen": (TIME, "first probe request"),
    "last_seen": (TIME, "last probe request"),
    "source_address_resolved": (pa.string(), "source as tshark named it"),
    "source_device_name": (pa.string(), "the device's name as of processing"),
    "is_known_device": (pa.bool_(), "true if the router knows the source address and it is no guest"),
}
_table(
    "networks_looked_for_day",
    "recompute",
    ("day", "source_address", "ssid"),
    "Each day's part of who looked for which network.",
    _DAY, _LOOKED_FOR,
    upstream="probes_enriched",
    folds=("day", "source_address", "ssid"),
)  # fmt: skip
_table(
    "networks_looked_for",
    "snapshot",
    ("source_address", "ssid"),
    "Which source looked for which network, over all days: the edges of the device graph.",
    _LOOKED_FOR, _LATEST_DAY,
    upstream="networks_looked_for_day",
    folds=("source_address",),
)  # fmt: skip
