"""The router's devices into ``devices``, and how their names changed into ``device_names``.

Here belongs the step that both tables take. Not here: how a source is read (``resources/``), what a document says of a
device (``frames/devices.py``).
"""

from datetime import UTC, datetime

from wifi_assets.compute import Done
from wifi_assets.engine import engine
from wifi_assets.frames.devices import renamed
from wifi_assets.hidden import claim
from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource, check_not_wiped
from wifi_assets.steps import repeat_when_overtaken


def store_devices(lake: Lake, source: DeviceSource | None, *, allow_empty: bool = False) -> dict[str, Done]:
    """Replace the table ``devices`` by what the source holds now; nothing if it holds the same.

    Returns:
        What was done to it and to ``device_names``.

    Raises:
        DeviceSourceError: The source cannot be read, or a collection that had devices is empty.
        PrivacyChangedError: The lake hides its rows otherwise.
    """
    done = {"devices": Done(), "device_names": Done()}
    if source is None:
        return done
    snapshot = source.read()

    def replace() -> None:
        claim(lake, snapshot.privacy)
        own = lake.open("devices")
        held = own.rows().to_table()
        same = held.sort_by("mac").equals(snapshot.table.select(held.column_names).sort_by("mac"))
        # That there is none is written once too.
        if same and own.version > 0:
            return
        check_not_wiped(held, snapshot, allow_empty)
        lake.replace(own, snapshot.table, None, {})
        done["devices"].add(len(snapshot.table), ())

    repeat_when_overtaken(replace)
    repeat_when_overtaken(lambda: _follow_names(lake, done["device_names"]))
    return done


def devices_stored(lake: Lake) -> bool:
    """Whether the router's devices were ever stored in this lake."""
    devices = lake.look("devices")
    return devices is not None and devices.version > 0


def _follow_names(lake: Lake, done: Done) -> None:
    """Bring ``device_names`` to what ``devices`` holds now."""
    own, devices = lake.open("device_names"), lake.open("devices")
    seen = own.upstream_version("devices")
    if seen == devices.version:
        return
    with engine() as run:
        # By its own account: the version of devices that it saw may be gone.
        run.view("device_names", own.rows())
        old = run.query(
            """SELECT mac, arg_max_null(new_name, "at") AS name FROM device_names
            GROUP BY mac HAVING arg_max(event, "at") <> 'vanished'"""
        )
        newest = run.query('SELECT max("at") AS "at" FROM device_names')["at"][0].as_py()
    at = datetime.now(UTC)
    if newest is not None:
        # The clock may have been set back, and the newest event is the one that counts.
        at = max(at, newest + newest.resolution)
    events = renamed(old, devices.rows().to_table(), at)
    lake.append(own, events, {}, {"devices": devices.version})
    done.add(len(events), ())
