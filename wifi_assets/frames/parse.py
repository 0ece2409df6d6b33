r"""Whole batches of messages to frames and refusals, as ``message.py`` defines them, at Kafka's speed.

A JSON parser made for speed lies about broken input: it drops blanks, takes the first of two equal
keys, turns bad values into NULL. So DuckDB's answer is believed only for a *plain* message, one of
which everything is accounted for: it has no backslash, is valid JSON, every quote and comma in it
belongs to a value that was read, and every value that was read has been converted. All others go, one
by one, to ``read_message``. The two agree by a property test.

Here belongs only that fast way; no rule is decided here. Not here: Kafka, the lake.

*Measured* on 2 cores with real captures of 413 bytes a message: see ``bench/``.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.frames.fields import MESSAGE_FIELDS
from wifi_assets.frames.message import (
    ADDRESSES,
    AHEAD,
    HEX_LIST,
    LAST_MILLISECOND,
    NUMBER_LISTS,
    NUMBERS,
    TEXTS,
    Refused,
    Rules,
    read_message,
)
from wifi_assets.frames.ssid import ssid_bytes, ssid_text
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
    texts = _texts(messages["value"])
    numbered = messages.select(["topic_generation", "kafka_partition", "kafka_offset", "kafka_timestamp"])
    numbered = numbered.append_column("text", texts).append_column("row", pa.array(range(len(messages)), pa.int32()))
    nested = pc.fill_null(pc.match_substring(texts, '"layers"'), False)
    plain = [
        _read_plain(numbered.filter(mask), layered=layered, rules=rules)
        for layered, mask in ((True, nested), (False, pc.invert(nested)))
        if pc.any(mask).as_py()
    ]
    read = pa.concat_tables([table.drop_columns("row") for table in plain]) if plain else _FRAMES.empty_table()
    known = pa.chunked_array([chunk for table in plain for chunk in table["row"].chunks], pa.int32())
    rest = messages.filter(pc.invert(pc.is_in(numbered["row"], known)))
    frames, refused = _read_singly(rest, rules)
    return pa.concat_tables([read.select(_FRAMES.names).cast(_FRAMES), frames]), refused


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values as text in ``_CHUNKS`` chunks; NULL where a value is not UTF-8."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    size = -(-len(whole) // _CHUNKS) or 1
    chunks = []
    for start in range(0, len(whole), size):
        chunk = whole.slice(start, size)
        try:
            chunks.append(chunk.cast(pa.string()))
        except pa.ArrowInvalid:
            chunks.append(pa.array([_text(value) for value in chunk.to_pylist()], pa.string()))
    return pa.chunked_array(chunks, pa.string())


def _text(value: bytes | None) -> str | None:
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


def _number(field: str, low: int, high: int) -> str:
    # Only the canonical form: the cast alone would also take '5.7', ' 5' and '0x5'.
    cast = f"TRY_CAST(f.{field}[1] AS BIGINT)"
    return f"CASE WHEN CAST({cast} AS VARCHAR) = f.{field}[1] AND {cast} BETWEEN {low} AND {high} THEN {cast} END"


def _address(field: str) -> str:
    return f"CASE WHEN regexp_full_match(f.{field}[1], '[0-9a-f]{{2}}(:[0-9a-f]{{2}}){{5}}') THEN f.{field}[1] END"


def _number_list(field: str) -> str:
    cast = f"TRY_CAST(f.{field} AS BIGINT[])"
    return f"CASE WHEN CAST({cast} AS VARCHAR[]) = f.{field} AND list_min({cast}) >= 0 THEN {cast} END"


def _hex_list(field: str) -> str:
    joined = f"array_to_string(f.{field}, '')"
    return (
        f"CASE WHEN f.{field} IS NULL THEN NULL"
        f" WHEN regexp_full_match({joined}, '[0-9a-f]*') THEN f.{field}"
        f" WHEN regexp_full_match({joined}, '[0-9a-f:]*') THEN list_transform(f.{field}, lambda x: replace(x, ':', ''))"
        " END"
    )


_HEX_SUBTYPE = (
    "CASE WHEN regexp_full_match(f.wlan_fc_type_subtype[1], '0x00[0-3][0-9a-f]')"
    " THEN CAST(f.wlan_fc_type_subtype[1] AS INTEGER) END"
)


def _columns() -> dict[str, tuple[str, str]]:
    """Lake column -> (message field, SQL that converts it, NULL if it can't)."""
    return {
        "frame_type": ("wlan_fc_type", _number("wlan_fc_type", 0, 3)),
        "frame_subtype": (
            "wlan_fc_type_subtype",
            f"coalesce({_HEX_SUBTYPE}, {_number('wlan_fc_type_subtype', 0, 63)})",
        ),
        **{column: (field, _number(field, low, high)) for column, (field, low, high) in NUMBERS.items()},
        **{column: (field, _address(field)) for column, field in ADDRESSES.items()},
        **{column: (field, f"f.{field}[1]") for column, field in TEXTS.items()},
        **{column: (field, _number_list(field)) for column, field in NUMBER_LISTS.items()},
        HEX_LIST[0]: (HEX_LIST[1], _hex_list(HEX_LIST[1])),
        "ssid": ("wlan_ssid", "f.wlan_ssid[1]"),
    }


def _query(*, layered: bool, rules: Rules) -> str:
    lists = "{" + ",".join(f'"{field}":["VARCHAR"]' for field in MESSAGE_FIELDS) + "}"
    shape = f'{{"timestamp":"VARCHAR","layers":{lists}}}' if layered else '{"timestamp":"VARCHAR",' + lists[1:]
    columns = _columns()
    fields = " + ".join(f"(f.{field} IS NOT NULL)::INT" for field in MESSAGE_FIELDS)
    values = " + ".join(f"coalesce(len(f.{field}), 0)" for field in MESSAGE_FIELDS)
    empty = " OR ".join(f"len(f.{field}) = 0" for field in MESSAGE_FIELDS)
    converted = " AND ".join(f"(f.{field} IS NULL) = ({column} IS NULL)" for column, (field, _) in columns.items())
    # Quotes: two for each key and each value; commas: between keys and between a list's values.
    keys_above = 2 if layered else 1
    commas = f"{int(layered)} + (fields - 1) + (vals - fields)" if layered else "fields + (vals - fields)"
    first_ms = int(datetime.combine(rules.first_day, time(), UTC).timestamp()) * 1000
    is_hex = {"auto": "starts_with(f.wlan_fc_type_subtype[1], '0x')", "hex": "true", "text": "false"}
    return f"""
        WITH decoded AS MATERIALIZED (
          SELECT * EXCLUDE (text),
            CASE WHEN json_valid(text) AND NOT contains(text, '\\') THEN from_json(text, '{shape}') END AS j,
            length(text) - length(replace(text, '"', '')) AS quotes,
            length(text) - length(replace(text, ',', '')) AS commas
          FROM messages),
        counted AS (
          SELECT * EXCLUDE (j), {"j.layers" if layered else "j"} AS f, j.timestamp AS ts,
            TRY_CAST(j.timestamp AS BIGINT) AS ms
          FROM decoded),
        explained AS (
          SELECT *, {fields} AS fields, {values} AS vals, ({empty}) IS TRUE AS empty FROM counted),
        converted AS MATERIALIZED (
          SELECT *, {", ".join(f"{sql} AS {column}" for column, (_, sql) in columns.items())},
            {is_hex[rules.ssid_encoding]} AS ssid_is_hex
          FROM explained
          WHERE NOT empty AND fields > 0 AND quotes = 2 * ({keys_above} + fields + 1 + vals) AND commas = {commas})
        SELECT row, topic_generation, kafka_partition, kafka_offset, kafka_timestamp,
          make_timestamptz(ms * 1000) AS event_time, CAST(make_timestamptz(ms * 1000) AS DATE) AS day,
          {", ".join(columns)}, ssid_is_hex
        FROM converted
        WHERE {converted}
          AND frame_type = frame_subtype // 16
          AND CAST(ms AS VARCHAR) = ts AND ms BETWEEN greatest(0, {first_ms}) AND {LAST_MILLISECOND}
          AND ms * 1000 - epoch_us(kafka_timestamp) <= {int(AHEAD.total_seconds()) * 1_000_000}
    """


def _read_plain(messages: pa.Table, *, layered: bool, rules: Rules) -> pa.Table:
    """The frames of the plain messages, with their ``row``; other messages are left out."""
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("messages", messages)
        frames = engine.sql(_query(layered=layered, rules=rules)).to_arrow_table()
    return _with_ssids(frames)


def _with_ssids(frames: pa.Table) -> pa.Table:
    """Put text and bytes for the SSIDs as tshark printed them; rows whose SSID is no hex are left out.

    SSIDs repeat: each distinct one is converted once.
    """
    columns = []
    for is_hex in (True, False):
        part = frames.filter(pc.equal(frames["ssid_is_hex"], is_hex))
        printed = part["ssid"].combine_chunks().dictionary_encode()
        raws = [_ssid_or_none(text, is_hex=is_hex) for text in printed.dictionary.to_pylist()]
        raw = pa.array(raws, pa.binary()).take(printed.indices)
        text = pa.array([None if raw is None else ssid_text(raw) for raw in raws], pa.string()).take(printed.indices)
        part = part.drop_columns(["ssid", "ssid_is_hex"]).append_column("ssid", text).append_column("ssid_bytes", raw)
        columns.append(part.filter(pc.equal(pc.is_null(printed), pc.is_null(raw))))
    return pa.concat_tables(columns)


def _ssid_or_none(printed: str, *, is_hex: bool) -> bytes | None:
    try:
        return ssid_bytes(printed, is_hex=is_hex)
    except ValueError:
        return None


def messages_table(rows: Iterable[tuple]) -> pa.Table:
    """A table of ``MESSAGES`` from rows in its column order."""
    return pa.Table.from_pylist([dict(zip(MESSAGES.names, row, strict=True)) for row in rows], MESSAGES)
