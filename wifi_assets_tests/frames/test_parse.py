"""Whole batches against the definition of one message: the same rows, the same refusals, whatever is in a batch."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from wifi_assets.frames import parse as parsing
from wifi_assets.frames.message import Refused, Rules, read_message
from wifi_assets.frames.parse import MESSAGES, messages_table, parse
from wifi_assets.schemas import TABLES
from wifi_assets_tests.frames.hostile import Edit, edited, edits, plain_messages
from wifi_assets_tests.frames.messages import HEARD, MALFORMED, OLD_PROBE, PROBE, probe

RULES = [
    Rules(),
    Rules(first_day=date(2020, 3, 21)),
    Rules(first_day=date(2020, 3, 22)),
    Rules(ssid_encoding="hex"),
    Rules(ssid_encoding="text"),
]


def table(values: Sequence[bytes | None], *, behind: timedelta = timedelta(hours=12)) -> pa.Table:
    """Messages with these values, on two partitions of a topic made anew three times.

    Kafka's clock is right, or ``behind``, or twice that, and every second time a microsecond more.
    """
    return messages_table(
        (3, number % 2, 7 * number, HEARD - number % 3 * behind - number % 2 * behind.resolution, None, value)
        for number, value in enumerate(values)
    )


def one_by_one(messages: pa.Table, rules: Rules) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the definition makes of the messages: rows of frames, rows of quarantine."""
    frames, refused = [], []
    for message in messages.to_pylist():
        try:
            frame = read_message(message["value"], message["kafka_timestamp"], rules)
        except Refused as error:
            day = message["kafka_timestamp"].date()
            refused.append(message | {"day": day, "reason": str(error.reason), "detail": error.detail})
        else:
            position = {name: message[name] for name in MESSAGES.names if name not in ("key", "value")}
            frames.append(position | frame | {"day": frame["event_time"].date()})
    return frames, refused


def check(values: Sequence[bytes | None], rules: Rules) -> None:
    messages = table(values)
    frames, refused = parse(messages, rules)
    assert frames.schema == TABLES["frames"].schema
    assert refused.schema == TABLES["quarantine"].schema
    expected = one_by_one(messages, rules)
    for found, wanted in zip((frames, refused), expected, strict=True):
        rows = sorted(found.to_pylist(), key=lambda row: row["kafka_offset"])
        assert rows == [{name: row[name] for name in found.column_names} for row in wanted]


#: Without the explanation, which takes minutes.
PHASES = [phase for phase in Phase if phase is not Phase.explain]
BATCHES = st.lists(st.tuples(plain_messages(), edits()), min_size=15, max_size=30)


@settings(max_examples=300, deadline=None, phases=PHASES)
@given(BATCHES, st.sampled_from(RULES))
def test_a_batch_is_read_as_one_by_one(batch: list[tuple[bytes, list[Edit]]], rules: Rules) -> None:
    check([edited(message, changes) for message, changes in batch], rules)


@settings(max_examples=50, deadline=None, phases=PHASES)
@given(st.lists(plain_messages(), min_size=1, max_size=40))
def test_no_plain_message_is_read_singly(batch: list[bytes]) -> None:
    with mock.patch.object(parsing, "read_message", side_effect=AssertionError):
        frames, refused = parse(table(batch, behind=timedelta(0)), Rules())
    assert (len(frames), len(refused)) == (len(batch), 0)


def test_the_messages_of_these_tests_are_of_all_kinds() -> None:
    read_singly: list[bytes] = []
    kinds: Counter[str] = Counter()

    def seen(value: bytes, *rest: Any) -> dict[str, Any]:
        read_singly.append(value)
        return read_message(value, *rest)

    @settings(max_examples=50, deadline=None, phases=PHASES, database=None)
    @given(BATCHES)
    def count(batch: list[tuple[bytes, list[Edit]]]) -> None:
        messages = table([edited(message, changes) for message, changes in batch])
        before = len(read_singly)
        _, refused = parse(messages, Rules())
        singly = len(read_singly) - before
        kinds.update(plain=len(messages) - singly, odd=singly - len(refused), refused=len(refused))
        kinds.update(refused["reason"].to_pylist())

    with mock.patch.object(parsing, "read_message", seen):
        count()
    assert min(kinds[kind] for kind in ("plain", "odd", "refused")) > 50, kinds
    assert min(kinds[reason] for reason in ("not JSON", "duplicate key", "value out of range")) > 10, kinds


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_the_malformed_messages_amid_plain_ones(rules: Rules) -> None:
    malformed = [value for value, _, _ in MALFORMED]
    values = [value for one in malformed for value in (probe(), one, probe(layered=False, old=True))]
    random.Random(1).shuffle(values)
    check(values, rules)
    check(malformed, rules)


ODD_TEXTS = [
    "", " ", "0", "-0", "-1", "007", "5.0", "+5", " 5", "5 ", "0x5", "0x0005", "1e3", "1_000", "NaN", "true", "null",
    "[]", "{}", "٣", "5" * 18, "5" * 19, str(2**63 - 1), str(2**63), "5" * 400, "00:00:00:00:00:00",
    "0A:00:00:00:00:00", "00-00-00-00-00-00", "00:00:00:00:00:00\x7f", "<MISSING>", "layers", "a,b", "[a]", "{a}",
    "é", "\U0001f600", "0g", "abc", "ABCD", "ab:cd", ":", "::", "0x0160", "0x003f", "0x0040", "0x4", "63", "64",
]  # fmt: skip
ODD_VALUES: list[object] = [
    5, -5, 5.0, 1e20, True, False, None, [], [[]], {}, [{}], ["a", "b"], ["0", "1"], ["0", None], ["0", 1],
    ["0", True], ["0", ["x"]], ["0", {"x": 5}], [["x"]], [{"x": 5}], {"x": ["0"]},
]  # fmt: skip


@pytest.mark.parametrize("layered", [True, False])
def test_each_field_with_each_odd_value(layered: bool) -> None:
    listed = [value for text in ODD_TEXTS for value in (text, [text], [text, "0"], ["0", text])]
    values = [*ODD_VALUES, *listed]
    for field in [*PROBE, "wlan_staa", "wlan_country_info_code", "wps_device_name", "unknown", "layers"]:
        check([probe(layered=layered, **{field: value}) for value in values], Rules())
    for old in (OLD_PROBE, PROBE):
        check([probe(layered=layered, **old | {"wlan_ssid": value}) for value in values], Rules())
    check([probe(layered=layered, timestamp=value) for value in values], Rules())


@pytest.mark.parametrize(
    "text",
    [
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]},"wlan_sa":["x"]}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"]},"wlan_fc_type_subtype":["4"]}',
        '{"timestamp":1584802202655,"layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],},}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":[4],},}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":[0],"wlan_fc_type_subtype":["4",]},}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wlan_ssid":[{"x":5}]}}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":[["x"]]}}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":"abcd"}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":1234}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wlan_ssid":[1e2]}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["0x0004"],"wlan_ssid":[10e19]}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"layers":null}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"WLAN_SSID":["x"]}}',
        '{"timestamp":"1584802202655","LAYERS":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]}}',
        '{"TIMESTAMP":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]}}',
        '{"timestamp":"1584802202655","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]}}\n',
        '{"timestamp":"9223372036854775807","layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]}}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":["/\x7f\u2028"]}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":["a\\nb"]}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wlan_ssid":["a\\\\x41"]}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wlan_ssid":["a\\"b"]}',
        '{"timestamp":"1584802202655","layers":{"layers":{"wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"]}}}',
        '{"timestamp":"1584802202655","wlan_fc_type":["0"],"wlan_fc_type_subtype":["4"],"wps_device_name":["%s"]}'
        % ("[" * 500),
    ],
)  # fmt: skip
def test_what_a_parser_made_for_speed_could_take_for_plain(text: str) -> None:
    check([text.encode()], Rules())
    check([text.encode(), probe()], Rules())


def test_no_messages_are_no_rows() -> None:
    check([], Rules())


def test_a_batch_of_many_chunks_and_a_slice_of_one_are_read_alike() -> None:
    values = [probe(layered=bool(number % 3), wlan_radio_channel=[str(number)]) for number in range(100)]
    values[50:50] = [None, b"\xff", b"", b"{"]
    messages = table(values)
    whole = parse(messages, Rules())
    parts = [messages.slice(start, 5) for start in range(0, len(messages), 5)]
    assert parse(pa.concat_tables(parts), Rules()) == whole
    assert [pa.concat_tables(side) for side in zip(*(parse(part, Rules()) for part in parts), strict=True)] == list(
        whole
    )


def test_batches_in_several_threads_and_by_several_rules_do_not_mix() -> None:
    batches = [[probe(wlan_radio_channel=[str(number)])] * (number + 1) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(check, batches * 2, RULES[:2] * len(batches)):
            pass
