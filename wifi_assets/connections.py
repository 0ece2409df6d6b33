"""Dagster's connections to its Postgres, kept from one question to the next.

dagster-postgres opens a connection for each question, and closes it; only the webserver keeps them. With the sensors
at their defaults the daemon and the code server opened some 50 a second, which took Postgres 0.29 of a processor, and a
run of the lake 250, which took it 1.8 CPU s instead of 0.3 (*measured*).

Here belongs how a process asks Dagster's database. Not here: what it asks.
"""

from functools import lru_cache

from dagster import DagsterInstance
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value, serialize_value

#: One that waits for a lock must not wait for ever.
_STATEMENT_MS = 300_000
#: The webserver's own defaults: seconds after which a connection is made anew, and connections beside the one kept.
_POOL_RECYCLE, _MAX_OVERFLOW = 3600, 20


def keep_connections(instance: DagsterInstance) -> None:
    """Have an instance keep its connections, as the webserver's does; one that is not on Postgres stays as it is.

    A connection that Postgres has closed, since it began anew, is replaced before it is asked.
    """
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_MS, pool_recycle=_POOL_RECYCLE, max_overflow=_MAX_OVERFLOW
    )
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        engine = getattr(storage, "_engine", None)
        if engine is not None:
            # create_engine(pool_pre_ping=True), which dagster-postgres cannot be told.
            engine.pool._pre_ping = True


def kept_instance(instance: InstanceRef) -> DagsterInstance:
    """The instance that this process keeps for all who name the same one."""
    return _kept(serialize_value(instance))


@lru_cache(maxsize=1)
def _kept(instance: str) -> DagsterInstance:
    made = DagsterInstance.from_ref(deserialize_value(instance, InstanceRef))
    keep_connections(made)
    return made
