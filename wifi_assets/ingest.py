"""One run of the whole lake until it has caught up, without Dagster.

Here belongs the order of the steps. Not here: the steps, and what is printed (``cli.py``).
"""

from collections.abc import Callable

from wifi_assets.compute import Done
from wifi_assets.drain import Drained, drain
from wifi_assets.from_settings import devices_of, lake_of, rules_of, topic_of
from wifi_assets.router import store_devices
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.steps import catch_up


def ingest(
    settings: Settings,
    *,
    accept_loss: bool = False,
    progress: Callable[[str, int, int], None] = lambda table, done, total: None,
) -> tuple[Drained, dict[str, Done]]:
    """Drain the topic and bring every table up to date.

    Returns:
        What the drain did, and what each table's step did.
    """
    lake, topic = lake_of(settings), topic_of(settings)
    # A broker that is down ends the run before anything is written.
    topic.look()
    steps = store_devices(lake, devices_of(settings))
    drained = drain(
        lake,
        topic,
        rules_of(settings),
        settings.batch,
        accept_loss=accept_loss,
        progress=lambda done, total: progress("frames", done, total),
    )
    followers = [name for name, table in TABLES.items() if table.upstream]
    for number, name in enumerate(followers, 1):
        steps[name] = catch_up(lake, name)
        progress(name, number, len(followers))
    return drained, steps
