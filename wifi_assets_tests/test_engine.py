"""Which tables a statement reads."""

import pytest

from wifi_assets.engine import named
from wifi_assets.schemas import TABLES


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("SELECT * FROM networks_looked_for_day", {"networks_looked_for_day"}),
        ("SELECT count(*) FROM probes_enriched", {"probes_enriched"}),
        ('SELECT * FROM Frames JOIN "probes" USING (day)', {"frames", "probes"}),
        ("WITH a AS (SELECT * FROM acks) SELECT * FROM a, rts;", {"acks", "rts"}),
        ("PIVOT packet_stats ON frame_subtype", {"packet_stats"}),
        ("SELECT 1", set()),
    ],
)
def test_a_statement_names_whole_tables_in_any_case(statement: str, names: set[str]) -> None:
    assert set(named(statement, TABLES)) == names
