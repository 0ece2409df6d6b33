"""How tables come to be, grow, and are refused; and what types a reader of the database finds."""

from dataclasses import replace
from pathlib import Path

import pytest

from wifi_assets.resources.change import Progress, Written
from wifi_assets.resources.errors import SinkError
from wifi_assets_tests.resources.sql_support import (
    PACKETS,
    PROBES,
    SESSIONS,
    Database,
    new_database,
    packets,
    part,
    probe_stats,
    session,
    whole,
)
from wifi_assets_tests.services import Server


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/wifi.db")
    return Database(new_database(request.getfixturevalue("postgres")))


def test_types_in_postgres(postgres: Server) -> None:
    database = Database(new_database(postgres))
    database.target.apply(whole(PACKETS, packets(1)))
    database.target.apply(whole(PROBES, [probe_stats("phone")]))
    database.target.apply(whole(SESSIONS, [session("print")]))

    def types(table: str) -> dict[str, str]:
        return dict(
            database.ask(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                f"WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
            )  # type: ignore[arg-type]
        )

    assert types("packet_stats") == {
        "window_day": "date",
        "subtype": "integer",
        "packet_count": "bigint",
        "earliest_time": "timestamp with time zone",
        "latest_time": "timestamp with time zone",
    }
    stats, sessions = types("probe_stats_by_source_device"), types("oui_fingerprint_sessions")
    assert (stats["source"], stats["probed_ssids"], stats["avg_signal_dbm"]) == (
        "text",
        "text[]",
        "double precision",
    )
    assert (sessions["tag_oui"], sessions["signal_dbm_distribution"]) == ("bigint[]", "jsonb")


def test_postgres_answers_with_arrays_and_json(postgres: Server) -> None:
    database = Database(new_database(postgres))
    database.target.apply(whole(PROBES, [probe_stats("phone", ["home", "work"]), probe_stats("watch", ["home"])]))
    database.target.apply(whole(SESSIONS, [session("print", signal_dbm_distribution={-70: 4, -40: 5})]))
    asked = "SELECT source FROM probe_stats_by_source_device WHERE 'work' = ANY (probed_ssids)"
    assert database.ask(asked) == [("phone",)]
    assert database.ask("SELECT signal_dbm_distribution ->> '-70' FROM oui_fingerprint_sessions") == [("4",)]


def test_sqlite_answers_with_json_and_utc(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/wifi.db")
    database.target.apply(whole(PROBES, [probe_stats("phone", ["home", "Zoë's"])]))
    asked = "SELECT j.value FROM probe_stats_by_source_device, json_each(probed_ssids) AS j"
    assert database.ask(asked) == [("home",), ("Zoë's",)]
    asked = "SELECT earliest_probe, typeof(probes) FROM probe_stats_by_source_device"
    assert database.ask(asked) == [("2020-03-21 14:00:02.202655", "integer")]


def test_keys(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(1)))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        database.run("INSERT INTO packet_stats (window_day, subtype) VALUES ('2020-03-21', 0)")


def test_a_new_column_appears_and_asks_for_the_whole_table(database: Database) -> None:
    older = replace(PACKETS, columns={name: PACKETS.columns[name] for name in list(PACKETS.columns)[:-1]})
    rows = packets(4)
    database.target.apply(whole(older, [{name: row[name] for name in older.columns} for row in rows]))
    assert database.target.progress("packet_stats") is None

    database.target.apply(part(PACKETS, rows[2:]))
    assert [row["latest_time"] for row in database.rows(PACKETS)] == [None, None] + [
        row["latest_time"] for row in rows[2:]
    ]
    database.target.apply(whole(PACKETS, rows, version=3))
    assert database.rows(PACKETS) == rows
    assert database.target.progress("packet_stats") == Progress("lake", 3)


def test_a_column_that_the_lake_no_longer_has_stays(database: Database) -> None:
    rows = packets(4)
    database.target.apply(whole(PACKETS, rows))
    younger = replace(PACKETS, columns={name: PACKETS.columns[name] for name in list(PACKETS.columns)[:-1]})
    database.target.apply(whole(younger, [{name: row[name] for name in younger.columns} for row in rows[:2]]))
    assert database.rows(PACKETS) == rows[:2]


def test_a_dropped_table_asks_for_the_whole_table(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(4)))
    database.run("DROP TABLE packet_stats")
    assert database.target.progress("packet_stats") is None
    assert database.target.apply(whole(PACKETS, packets(4), version=2)) == Written(4, 0)
    assert database.rows(PACKETS) == packets(4)


def test_a_table_made_by_hand_is_used(database: Database) -> None:
    database.run(
        "CREATE TABLE packet_stats (subtype INTEGER, window_day DATE, packet_count BIGINT, "
        "PRIMARY KEY (window_day, subtype))"
    )
    database.target.apply(whole(PACKETS, packets(4)))
    assert database.rows(PACKETS) == packets(4)


def test_another_type_is_refused_with_both(database: Database) -> None:
    database.run(
        "CREATE TABLE packet_stats (window_day DATE, subtype INTEGER, packet_count VARCHAR(20), "
        "PRIMARY KEY (window_day, subtype))",
        "INSERT INTO packet_stats VALUES ('2020-03-21', 4, 'many')",
    )
    with pytest.raises(SinkError, match=r"packet_stats .* packet_count .*VARCHAR\(20\).* BIGINT"):
        database.target.apply(whole(PACKETS, packets(4)))
    assert database.ask("SELECT packet_count FROM packet_stats") == [("many",)]
    assert database.target.progress("packet_stats") is None


def test_a_list_that_is_text_is_refused_with_both(database: Database) -> None:
    database.run("CREATE TABLE probe_stats_by_source_device (source TEXT PRIMARY KEY, probed_ssids TEXT)")
    wanted = {"postgresql": r"TEXT\[\]", "sqlite": "JSON"}[database.kind]
    with pytest.raises(SinkError, match=f"probed_ssids of type TEXT, .* needs {wanted}"):
        database.target.apply(whole(PROBES, [probe_stats("phone")]))


def test_a_type_of_an_extension_is_refused(postgres: Server) -> None:
    database = Database(new_database(postgres))
    database.run("CREATE TYPE mood AS ENUM ('ok')", "CREATE DOMAIN bytes AS bigint")
    database.run("CREATE TABLE packet_stats (window_day DATE, subtype mood, PRIMARY KEY (window_day, subtype))")
    with pytest.raises(SinkError, match=r"subtype of type mood, .* needs INTEGER"):
        database.target.apply(whole(PACKETS, packets(1)))
    database.run("DROP TABLE packet_stats", "CREATE TABLE packet_stats (window_day tsquery)")
    with pytest.raises(SinkError, match=r"window_day of type TSQUERY, .* needs DATE"):
        database.target.apply(whole(PACKETS, packets(1)))


def test_another_key_is_refused_with_both(database: Database) -> None:
    database.run("CREATE TABLE packet_stats (id INTEGER PRIMARY KEY, window_day DATE)")
    with pytest.raises(SinkError, match=r"primary key \(id\), .* needs \(window_day, subtype\)"):
        database.target.apply(whole(PACKETS, packets(1)))


def test_a_view_of_that_name_is_refused(database: Database) -> None:
    database.run("CREATE VIEW packet_stats AS SELECT CURRENT_DATE AS today")
    with pytest.raises(SinkError, match="packet_stats"):
        database.target.apply(whole(PACKETS, packets(1)))
