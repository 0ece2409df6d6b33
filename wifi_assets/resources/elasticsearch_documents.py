"""What a lake row is in Elasticsearch: its index, its id, its document, and the types of its fields.

Here belongs all that follows from ``schemas.py`` alone. Not here: how documents travel and what the
server says to them (``elasticsearch.py``), or what Kibana draws from them (``kibana/``).

The rules. A document holds every column of the lake table under its name, but for NULLs, which it
leaves out, and ``MARK``, which says that the document is ours and which change wrote it last. A table
with days has one index a day, ``NAME-YYYY.MM.DD`` (event day, UTC). Times are dates, with an alias by
which ksqlDB's users look for them: the upper case name, ending in ``_TS`` (``event_time`` is also
``EVENT_TS``, ``earliest_probe`` is also ``EARLIEST_PROBE_TS``). Texts are keywords, bytes are base64.
"""

import re
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from wifi_assets.schemas import TABLES, Table

#: The field that only our documents have: id of the Delta table, a slash, version of the last change.
MARK = "wifi_assets_version"
#: The longest id that Elasticsearch takes, bytes.
ID_BYTES = 512
#: Lucene refuses a term of more than 32,766 bytes. A longer text stays in the document, unsearchable.
KEYWORD_CHARACTERS = 32_766 // 4

_TYPES: dict[pa.DataType, dict[str, Any]] = {
    pa.string(): {"type": "keyword", "ignore_above": KEYWORD_CHARACTERS},
    pa.binary(): {"type": "binary"},
    pa.bool_(): {"type": "boolean"},
    pa.int32(): {"type": "integer"},
    pa.int64(): {"type": "long"},
    pa.float64(): {"type": "double"},
    pa.date32(): {"type": "date"},
}


@dataclass(frozen=True)
class Target:
    """The index, or the indices, of one lake table.

    Attributes:
        table: The lake table.
        name: Name of the index, or what stands before the day in the names of the daily indices.
    """

    table: Table
    name: str

    @property
    def pattern(self) -> str:
        """The pattern that matches all indices of this table."""
        return f"{self.name}-*.*.*" if self.table.partitioned else self.name

    def owns(self, index: str) -> bool:
        """True if an index of this name is one of this table's; the pattern matches a few more."""
        name = re.escape(self.name) + (r"-\d{4}\.\d{2}\.\d{2}" if self.table.partitioned else "")
        return re.fullmatch(name, index) is not None

    def properties(self) -> dict[str, dict[str, Any]]:
        """The mapping: field -> its definition, aliases last."""
        fields: dict[str, dict[str, Any]] = {}
        aliases: dict[str, dict[str, Any]] = {}
        for name, (kind, _) in self.table.columns.items():
            if pa.types.is_timestamp(kind):
                fields[name] = {"type": "date"}
                aliases[_timestamp_alias(name)] = {"type": "alias", "path": name}
            else:
                fields[name] = _TYPES[kind.value_type if pa.types.is_list(kind) else kind]
        return fields | {MARK: {"type": "keyword"}} | aliases

    def template(self) -> dict[str, Any]:
        """The index template, as the API takes it.

        One replica where there is a second node to hold it, none on a single node, which would
        otherwise stay yellow. Fields that are not ours become dates if they end in ``_TS``.
        """
        return {
            "index_patterns": [self.pattern],
            # Above the templates that come with the server (100 to 200).
            "priority": 500,
            "template": {
                "settings": {"auto_expand_replicas": "0-1"},
                "mappings": {
                    "dynamic_templates": [{"timestamps": {"match": "*_TS", "mapping": {"type": "date"}}}],
                    "properties": self.properties(),
                },
            },
        }


#: Lake table -> its place in Elasticsearch.
TARGETS = {
    table: Target(TABLES[table], name)
    for table, name in {
        "frames": "pcap",
        "probes_enriched": "pcap_probe_enriched",
        "probe_stats_by_source_device": "pcap_probe_stats_by_source_device",
    }.items()
}


def _timestamp_alias(column: str) -> str:
    return re.sub("_time(stamp)?$", "", column).upper() + "_TS"


def _id(key: tuple[str, ...]) -> str:
    """SQL for the id of a row: its key if that makes an id, else a hash that no key can be."""
    text = f"concat_ws('-', {', '.join(key)})"
    fits = f"strlen({text}) BETWEEN 1 AND {ID_BYTES} AND NOT starts_with({text}, 'sha256:')"
    return f"CASE WHEN {fits} THEN {text} ELSE 'sha256:' || sha256({text}) END"


def _index(target: Target) -> str:
    return f"strftime(day, '{target.name}-%Y.%m.%d')" if target.table.partitioned else f"'{target.name}'"


def _value(name: str, kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f"strftime({name}, '\"%Y-%m-%dT%H:%M:%S.%fZ\"')"
    if pa.types.is_date(kind):
        return f"strftime({name}, '\"%Y-%m-%d\"')"
    if pa.types.is_binary(kind):
        return f"'\"' || base64({name}) || '\"'"
    return f"to_json({name})::VARCHAR"


def _rows(rows: pa.Table) -> pa.Table:
    """The rows with times that DuckDB reads as UTC without its time zone extension."""
    naive = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field for field in rows.schema
    ]
    return rows.cast(pa.schema(naive))


def _query(rows: pa.Table, sql: str, **parameters: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("source_rows", _rows(rows))
        return connection.execute(sql, parameters).fetchall()


def bulk_lines(target: Target, rows: pa.Table, mark: str) -> list[tuple[bytes, bytes]]:
    """The rows as a bulk request wants them.

    Args:
        target: Where they go.
        rows: Rows of ``target.table``.
        mark: Value of ``MARK``.

    Returns:
        For each row its action and its document, both JSON.
    """
    pieces = [
        f"""coalesce('"{name}":' || {_value(name, kind)} || ',', '')"""
        for name, (kind, _) in target.table.columns.items()
    ]
    sql = f"""
        SELECT
            encode('{{"index":{{"_index":"' || {_index(target)} || '","_id":' ||
                   to_json({_id(target.table.key)})::VARCHAR || '}}}}'),
            encode(concat('{{', {", ".join(pieces)}, '"{MARK}":', to_json($mark)::VARCHAR, '}}'))
        FROM source_rows
    """  # noqa: S608 - names from schemas.py alone
    return _query(rows, sql, mark=mark)


def places(target: Target, rows: pa.Table) -> dict[str, str]:
    """Id -> index of the rows."""
    sql = f"SELECT {_id(target.table.key)}, {_index(target)} FROM source_rows"  # noqa: S608
    return dict(_query(rows, sql))


def ids(target: Target, keys: pa.Table) -> list[str]:
    """The ids of rows of which only the key columns are known."""
    sql = f"SELECT {_id(target.table.key)} FROM source_rows"  # noqa: S608
    return [row[0] for row in _query(keys, sql)]
