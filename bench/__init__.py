"""How fast wifi_assets is, measured beside real servers: ``make bench``, or one by ``python -m bench.NAME``.

Here belongs what the measurements share: a broker, a topic filled with the simulated household's frames,
the words on the machine's load, small helpers. Not here: whether results are right (the tests).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from wifi_assets.demo.household import write_documents
from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.services import Server

#: Midnight on which the measured frames begin.
BEGIN = datetime(2020, 3, 21, tzinfo=UTC)
FIRST_HOUR = int(BEGIN.timestamp()) // 3600
PARTITIONS = 4
TOPIC = "pcap"


@contextmanager
def bench_settings() -> Iterator[Settings]:
    """A broker of its own with the topic, an empty lake, the router's devices; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wifi-assets-bench-") as folder:
        server = Server("kafka", Path(folder) / "kafka").start()
        try:
            bootstrap = f"127.0.0.1:{server.port}"
            Topic(bootstrap, TOPIC).prepare(BEGIN, PARTITIONS)
            write_documents(Path(folder) / "devices", int(BEGIN.timestamp()))
            yield Settings(
                _env_file=None,  # type: ignore[call-arg]
                kafka_bootstrap=bootstrap,
                kafka_topic=TOPIC,
                lake=str(Path(folder) / "lake"),
                devices_path=Path(folder) / "devices",
            )
        finally:
            server.stop()


def with_nulls(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with all columns of a schema; those that they lack hold NULL."""
    columns = {
        field.name: rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in schema
    }
    return pa.table(columns).cast(schema)


def octets_of(folder: Path) -> int:
    """Octets of all files below a folder."""
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def load() -> str:
    """What else the machine is doing: a measurement on a busy one says less."""
    one, five, _ = os.getloadavg()
    return f"{os.cpu_count()} cores, load {one:.1f} in the last minute, {five:.1f} in the last five"
