"""How a lake table looks in a SQL database, and how it comes to be and grows there.

Here belongs the mapping of names and types, generated from ``schemas.TABLES``, and the making of the
tables. Not here: how rows get into them (``sql_target.py``, ``postgres.py``).

Names are the lake's, but for those that readers of windowed packet counts know otherwise
(``window_day``, ``subtype``). Times are ``timestamptz`` in Postgres and UTC text in SQLite; lists are
arrays (``text[]``, ``bigint[]``), in SQLite JSON text; the signal distribution is ``jsonb``, in SQLite JSON
text: an object of dBm to count.
"""

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from wifi_assets.resources.errors import SinkError
from wifi_assets.schemas import NUMBERS, TEXTS, TIME, Table

RENAMED = {"packet_stats": {"day": "window_day", "frame_subtype": "subtype"}}

_JSON = sa.JSON(none_as_null=True)
_TYPES: dict[pa.DataType, sa.types.TypeEngine] = {
    pa.string(): sa.Text(),
    pa.bool_(): sa.Boolean(),
    pa.int32(): sa.Integer(),
    pa.int64(): sa.BigInteger(),
    pa.float64(): sa.Double(),
    pa.date32(): sa.Date(),
    TIME: sa.DateTime(timezone=True),
    TEXTS: postgresql.ARRAY(sa.Text()).with_variant(_JSON, "sqlite"),
    NUMBERS: postgresql.ARRAY(sa.BigInteger()).with_variant(_JSON, "sqlite"),
    pa.map_(pa.int32(), pa.int64()): postgresql.JSONB().with_variant(_JSON, "sqlite"),
}


def column_name(table: Table, column: str) -> str:
    """The target's name of a lake column."""
    return RENAMED.get(table.name, {}).get(column, column)


def target_table(table: Table, schema: str | None) -> sa.Table:
    """A lake table as SQL table, with the lake's key as primary key and its descriptions as comments.

    Args:
        table: The lake table.
        schema: The target's schema.
    """
    columns = [
        sa.Column(
            column_name(table, name),
            _TYPES[kind],
            primary_key=name in table.key,
            # Integer keys come from the lake: no sequence.
            autoincrement=False,
            comment=description,
        )
        for name, (kind, description) in table.columns.items()
    ]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=schema, comment=table.description)


def progress_table(schema: str | None) -> sa.Table:
    """The table in which each lake table has one row: how far its target has come."""
    return sa.Table(
        "wifi_assets_progress",
        sa.MetaData(),
        sa.Column("lake_table", sa.Text(), primary_key=True),
        sa.Column("table_id", sa.Text(), nullable=False, comment="id of the Delta table"),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Delta version that the target holds"),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        schema=schema,
        comment="How far wifi_assets has brought each table; written together with the rows",
    )


def staging_table(table: Table, columns: tuple[str, ...], dialect: str) -> sa.Table:
    """A temporary table for rows on their way, gone with the transaction or the connection.

    Args:
        table: The lake table.
        columns: Which of its columns, lake names.
        dialect: ``postgresql`` or ``sqlite``.
    """
    # SQLite finds a row by index or not at all in time; Postgres hashes the whole table, faster without one.
    indexed = dialect == "sqlite"
    return sa.Table(
        "wifi_assets_stage" if len(columns) == len(table.columns) else "wifi_assets_gone",
        sa.MetaData(),
        *(
            sa.Column(
                column_name(table, name),
                _TYPES[table.columns[name][0]],
                primary_key=indexed and name in table.key,
                autoincrement=False,
            )
            for name in columns
        ),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


def missing_columns(connection: sa.Connection, target: sa.Table) -> list[str] | None:
    """Columns that the database's table lacks; None when there is no such table.

    Args:
        connection: An open connection.
        target: The table as it should be.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(target.name, schema=target.schema):
        return None
    found = {column["name"] for column in inspector.get_columns(target.name, schema=target.schema)}
    return [column.name for column in target.columns if column.name not in found]


def make_or_evolve(connection: sa.Connection, target: sa.Table) -> None:
    """Make the table, or add the columns that it lacks; nothing is ever dropped or changed.

    Args:
        connection: A connection in a transaction.
        target: The table as it should be.

    Raises:
        SinkError: The table is there with another primary key or a column of another type.
    """
    missing = missing_columns(connection, target)
    if missing is None:
        target.create(connection)
        return
    _refuse_another(connection, target)
    for name in missing:
        column = target.columns[name]
        place = connection.dialect.identifier_preparer.format_table(target)
        definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {place} ADD COLUMN {definition}")
        if connection.dialect.supports_comments:
            connection.execute(sa.schema.SetColumnComment(column))


def _refuse_another(connection: sa.Connection, target: sa.Table) -> None:
    inspector = sa.inspect(connection)
    for column in inspector.get_columns(target.name, schema=target.schema):
        if (wanted := target.columns.get(column["name"])) is None:
            continue
        is_type, needs = _type_name(column["type"], connection), _type_name(wanted.type, connection)
        if is_type != needs:
            raise SinkError(
                f"table {target.fullname} exists with column {column['name']} of type {is_type}, "
                f"but wifi_assets needs {needs}: rename or drop that table, or alter the column"
            )
    key = inspector.get_pk_constraint(target.name, schema=target.schema)["constrained_columns"]
    needed = [column.name for column in target.primary_key]
    if set(key) != set(needed):
        raise SinkError(
            f"table {target.fullname} exists with primary key ({', '.join(key)}), "
            f"but wifi_assets needs ({', '.join(needed)}): rename or drop that table"
        )


def _type_name(kind: sa.types.TypeEngine, connection: sa.Connection) -> str:
    """The type in the database's own words; ``unknown`` for one of an extension."""
    if isinstance(kind, sa.types.NullType):
        return "unknown"
    return kind.compile(dialect=connection.dialect)
