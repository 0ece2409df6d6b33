r"""Whole batches of messages to frames and refusals, as ``message.py`` defines them, at Kafka's speed.

A JSON parser made for speed lies about broken input: it drops blanks, takes the first of two equal
keys, turns bad values into NULL. So DuckDB's answer is believed only for a *plain* message, one of which
everything is accounted for: it has no backslash, is valid JSON, each field that was read is a list of
texts, and the message is exactly as long as the fields that were converted, written without blanks. Then
nothing else can be in it, no other key, no key twice, no trailing comma. All others go, one by one, to
``read_message``. The two agree by a property test.

Here belongs only that fast way; no rule is decided here. Not here: Kafka, the lake.

*Measured* on real captures of 400 to 530 bytes a message, 200,000 in a batch: 3.5 µs of CPU a message, a
third of it JSON, a third the conversions. The query is planned once: that alone takes 30 ms.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from functools import cache
from threading import Lock

import duckdb
import numpy as np
import pyarrow as pa

from wifi_assets.frames.fields import MESSAGE_FIELDS
from wifi_assets.frames.message import (
    ADDRESSES,
    AHEAD,
    HEX_LIST,
    HEX_NUMBERS,
    LAST_MILLISECOND,
    NUMBER_LISTS,
    NUMBERS,
    TEXTS,
    Refused,
    Rules,
    read_message,
)
from wifi_assets.frames.ssid import MISSING, ssid_text
from wifi_assets.schemas import TABLES

#: What the drain hands over, one row a message.
MESSAGES = pa.schema(
    [
        ("topic_generation", pa.int32()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", pa.timestamp("us", tz="UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
#: What DuckDB is given of them.
_NUMBERED = pa.schema([*list(MESSAGES)[:4], ("text", pa.string()), ("row", pa.int32())])
_FRAMES = TABLES["frames"].schema
_QUARANTINE = TABLES["quarantine"].schema
#: DuckDB works on Arrow chunks in parallel: at least four keep two cores busy (*measured*).
_CHUNKS = 8


def parse(messages: pa.Table, rules: Rules) -> tuple[pa.Table, pa.Table]:
    """Sort messages into frames and quarantine; each is a row of exactly one of the two.

    Args:
        messages: Table of schema ``MESSAGES``, any order.
        rules: The user's part of the definition.

    Returns:
        Tables of the schemas of ``frames`` and ``quarantine``.
    """
    read = _read_plain(messages, rules)
    singly = np.ones(len(messages), bool)
    singly[read["row"].to_numpy()] = False
    rest = messages.filter(pa.array(singly))
    frames, refused = _read_singly(rest, rules)
    return pa.concat_tables([_with_ssid_texts(read).select(_FRAMES.names).cast(_FRAMES), frames]), refused


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values as text in at least ``_CHUNKS`` chunks; NULL where a value is not UTF-8."""
    size = -(-len(values) // _CHUNKS) or 1
    chunks = []
    for start in range(0, len(values), size):
        for chunk in values.slice(start, size).chunks:
            try:
                chunks.append(chunk.cast(pa.string()))
            except pa.ArrowInvalid:
                chunks.append(pa.array([_utf8(value) for value in chunk.to_pylist()], pa.string()))
    return pa.chunked_array(chunks, pa.string())


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _read_singly(messages: pa.Table, rules: Rules) -> tuple[pa.Table, pa.Table]:
    frames, refused = [], []
    for message in messages.to_pylist():
        try:
            frame = read_message(message["value"], message["kafka_timestamp"], rules)
        except Refused as error:
            day = message["kafka_timestamp"].date()
            refused.append(message | {"day": day, "reason": error.reason, "detail": error.detail})
        else:
            frames.append(message | frame | {"day": frame["event_time"].date()})
    return pa.Table.from_pylist(frames, _FRAMES), pa.Table.from_pylist(refused, _QUARANTINE)


# ---------------------------------------------------------------- the plain messages, in DuckDB's SQL


def _json(field: str) -> str:
    """SQL: a field's value as JSON text without blanks."""
    return f"{field}_json"


def _value(field: str) -> str:
    """SQL: the text between the first two quotation marks of a field's value."""
    return f"split_part({_json(field)}, '\"', 2)"


def _is_one(field: str, value: str) -> str:
    """SQL: whether a field is a list of this text alone."""
    return f"'[\"' || {value} || '\"]' = {_json(field)}"


def _matches(field: str, pattern: str) -> str:
    """SQL: whether a field is a list with texts of this pattern."""
    return f"regexp_full_match({_json(field)}, '\\[{pattern}\\]')"


def _text(field: str) -> str:
    return f"CASE WHEN {_is_one(field, _value(field))} THEN {_value(field)} END"


def _number(field: str, low: int, high: int) -> str:
    # Only the canonical form: the cast alone would also take '5.7', ' 5' and '0x5'.
    number = f"TRY_CAST({_value(field)} AS BIGINT)"
    return f"CASE WHEN {_is_one(field, number)} AND {number} BETWEEN {low} AND {high} THEN {number} END"


def _hex_number(field: str, digits: str, high: int) -> str:
    is_hex = _matches(field, f'"0x{digits}"')
    return f"CASE WHEN {is_hex} THEN TRY_CAST({_value(field)} AS BIGINT) ELSE {_number(field, 0, high)} END"


def _address(field: str) -> str:
    is_address = _matches(field, '"[0-9a-f]{2}(:[0-9a-f]{2}){5}"')
    return f"CASE WHEN {is_address} THEN {_value(field)} END"


def _split(text: str) -> str:
    return f"""string_split({text}[3:-3], '","')"""


def _number_list(field: str) -> str:
    # 18 digits are always a BIGINT.
    number = '"(0|[1-9][0-9]{0,17})"'
    is_list = _matches(field, f"{number}(,{number})*")
    return f"CASE WHEN {is_list} THEN TRY_CAST({_split(_json(field))} AS BIGINT[]) END"


def _hex_list(field: str) -> str:
    is_list = _matches(field, '"[0-9a-f:]*"(,"[0-9a-f:]*")*')
    without_colons = f"replace({_json(field)}, ':', '')"
    return f"CASE WHEN {is_list} THEN {_split(without_colons)} END"


def _ssid(field: str, encoding: str) -> str:
    written_in_hex = f"""starts_with({_json("wlan_fc_type_subtype")}, '["0x')"""
    is_hex = {"auto": written_in_hex, "hex": "true", "text": "false"}[encoding]
    pairs = _matches(field, '"([0-9a-f]{2})*"')
    return f"""
        CASE WHEN {_is_one(field, f"'{MISSING}'")} THEN ''::BLOB
        WHEN NOT {is_hex} THEN encode({_text(field)})
        WHEN {pairs} THEN unhex({_value(field)}) END"""


def _columns(rules: Rules) -> dict[str, tuple[str, str]]:
    """Lake column -> (message field, SQL that makes the one of the other's JSON text; NULL if it can't)."""
    columns = {
        "frame_type": ("wlan_fc_type", _number("wlan_fc_type", 0, 3)),
        "frame_subtype": ("wlan_fc_type_subtype", _hex_number("wlan_fc_type_subtype", "00[0-3][0-9a-f]", 63)),
        HEX_LIST[0]: (HEX_LIST[1], _hex_list(HEX_LIST[1])),
        "ssid_bytes": ("wlan_ssid", _ssid("wlan_ssid", rules.ssid_encoding)),
    }
    columns |= {column: (field, _number(field, low, high)) for column, (field, low, high) in NUMBERS.items()}
    columns |= {
        column: (field, _hex_number(field, "[0-9a-f]{4}", high)) for column, (field, high) in HEX_NUMBERS.items()
    }
    columns |= {column: (field, _address(field)) for column, field in ADDRESSES.items()}
    columns |= {column: (field, _text(field)) for column, field in TEXTS.items()}
    columns |= {column: (field, _number_list(field)) for column, field in NUMBER_LISTS.items()}
    return columns


def _query(rules: Rules) -> str:
    shape = ",".join(f'"{field}":"VARCHAR"' for field in MESSAGE_FIELDS)
    shape = f'{{"timestamp":"JSON","layers":{{{shape}}},{shape}}}'
    fields = ", ".join(
        f"CASE WHEN j.layers IS NULL THEN j.{field} ELSE j.layers.{field} END AS {_json(field)}"
        for field in MESSAGE_FIELDS
    )
    columns = _columns(rules)
    converted = ", ".join(f"{sql} AS {column}" for column, (_, sql) in columns.items())
    # Of each field: "field":value,
    read = " + ".join(
        f"CASE WHEN {column} IS NULL THEN 0 ELSE strlen({_json(field)}) + {len(field) + 4} END"
        for column, (field, _) in columns.items()
    )
    layered, flat = '{"timestamp":,"layers":{}}', '{"timestamp":,}'
    around = f"CASE WHEN layered THEN {len(layered)} ELSE {len(flat)} END - {len(',')}"
    first_ms = max(0, int(datetime.combine(rules.first_day, time(), UTC).timestamp()) * 1000)
    milliseconds = f"TRY_CAST({_value('timestamp')} AS BIGINT)"
    return f"""
        WITH decoded AS NOT MATERIALIZED (
          SELECT * EXCLUDE (text), strlen(text) AS octets,
            CASE WHEN json_valid(text) AND NOT contains(text, '\\') THEN from_json(text, '{shape}') END AS j
          FROM messages),
        fields AS NOT MATERIALIZED (
          SELECT * EXCLUDE (j), j.layers IS NOT NULL AS layered,
            CAST(j.timestamp AS VARCHAR) AS {_json("timestamp")}, {fields}
          FROM decoded),
        converted AS NOT MATERIALIZED (
          SELECT *, CASE WHEN {milliseconds} BETWEEN {first_ms} AND {LAST_MILLISECOND} THEN {milliseconds} END AS ms,
            {converted}
          FROM fields)
        SELECT row, topic_generation, kafka_partition, kafka_offset, kafka_timestamp,
          make_timestamptz(ms * 1000) AS event_time, DATE '1970-01-01' + CAST(ms // 86400000 AS INTEGER) AS day,
          {", ".join(columns)}
        FROM converted
        WHERE octets = {read} + strlen({_json("timestamp")}) + {around}
          AND frame_type = frame_subtype // 16
          AND '"' || ms || '"' = {_json("timestamp")}
          AND ms * 1000 - epoch_us(kafka_timestamp) <= {AHEAD // timedelta(microseconds=1)}
    """


class _Batch:
    """The rows behind the view ``messages``: others at each reading, of one schema."""

    def __init__(self) -> None:
        self.rows = _NUMBERED.empty_table()

    def __arrow_c_schema__(self) -> object:
        return _NUMBERED.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


class _PlainMessages:
    """A query over one batch after the other, planned once, in a DuckDB of its own since its settings are others."""

    def __init__(self, query: str) -> None:
        self._batch, self._one_at_a_time = _Batch(), Lock()
        self._engine = duckdb.connect()
        # Pushed down, the filter would compute every column a second time.
        self._engine.execute("SET TimeZone = 'UTC'; SET disabled_optimizers = 'filter_pushdown'")
        # What a batch took goes back at once (*measured*: 385 instead of 476 MiB after five batches of 100,000).
        self._engine.execute("SET allocator_flush_threshold = '8MB'; SET allocator_background_threads = true")
        self._engine.register("messages", self._batch)
        self._engine.execute(f"PREPARE plain AS {query}")

    def read(self, rows: pa.Table) -> pa.Table:
        with self._one_at_a_time:
            self._batch.rows = rows
            try:
                return self._engine.sql("EXECUTE plain").to_arrow_table()
            finally:
                self._batch.rows = _NUMBERED.empty_table()


def release() -> None:
    """Give back what reading took, once there is nothing to read for now.

    DuckDB keeps it until it is closed (*measured*: 350 MiB after 900,000 messages, which the tables' steps had to do
    without); the next batch plans its query anew.
    """
    _plain_messages.cache_clear()


@cache
def _plain_messages(query: str) -> _PlainMessages:
    return _PlainMessages(query)


def _read_plain(messages: pa.Table, rules: Rules) -> pa.Table:
    """The frames of the plain messages, with their ``row``; other messages are left out."""
    numbered = messages.select(_NUMBERED.names[:-2])
    numbered = numbered.append_column("text", _texts(messages["value"]))
    numbered = numbered.append_column("row", pa.array(np.arange(len(messages), dtype=np.int32)))
    return _plain_messages(_query(rules)).read(numbered)


def _with_ssid_texts(frames: pa.Table) -> pa.Table:
    """SSIDs repeat: each distinct one is converted once."""
    raw = frames["ssid_bytes"].combine_chunks().dictionary_encode()
    texts = pa.array([ssid_text(one) for one in raw.dictionary.to_pylist()], pa.string())
    return frames.append_column("ssid", texts.take(raw.indices))


def messages_table(rows: Iterable[tuple]) -> pa.Table:
    """A table of ``MESSAGES`` from rows in its column order."""
    return pa.Table.from_pylist([dict(zip(MESSAGES.names, row, strict=True)) for row in rows], MESSAGES)
