"""Elasticsearch as a target: frames and enriched probes by day, statistics by source.

Here belongs how a change of the lake gets into the indices and how far they have come. Not here: what a
row looks like there (``elasticsearch_documents.py``), how the server is reached and its errors are
worded (``elasticsearch_server.py``), or when the sink runs (``assets/sinks.py``).

Ids come from the rows' keys, so writing a change again makes the same documents. Indices of other names
are never touched, and of the documents in ours only those that carry our mark.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from pydantic import SecretStr

from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.resources.elasticsearch_bulk import Indices, Outcome, side_by_side, slices_of
from wifi_assets.resources.elasticsearch_documents import MARK, TARGETS, Target
from wifi_assets.resources.elasticsearch_server import ElasticsearchServer, describe, one_line

PROGRESS_INDEX = "wifi_assets_progress"
#: Rejected documents that an error names; it counts the rest.
NAMED = 5


class ElasticsearchSink:
    """The lake's tables in one Elasticsearch server.

    With security on, the login needs the cluster privileges ``monitor`` and ``manage_index_templates``,
    and ``all`` on the indices ``pcap*`` and ``wifi_assets_progress``.

    Args:
        url: ``http(s)://[user:password@]host:9200``.
        api_key: API key, instead of user and password.
        ca: PEM file of the CA that signed the server's certificate; None for the system's CAs.

    Raises:
        SinkError: A setting is wrong. Nothing connects before the first call.
    """

    def __init__(self, url: SecretStr, api_key: SecretStr | None = None, ca: Path | None = None) -> None:
        self._server = ElasticsearchServer(url, api_key, ca)

    def progress(self, table: str) -> Progress | None:
        """How far the indices have come in a lake table.

        Args:
            table: Lake table, a key of ``TARGETS``.

        Returns:
            What the last whole ``apply`` recorded, and which were begun since; None when there was none.

        Raises:
            SinkError: The server is at fault.
        """
        with self._server.client() as client:
            found = client.options(ignore_status=404).get(index=PROGRESS_INDEX, id=table).body
        if not found.get("found"):
            return None
        recorded = found["_source"]
        return Progress(recorded["table_id"], recorded["version"], tuple(recorded.get("begun", ())))

    def apply(self, change: Change) -> Written:
        """Bring the indices to what ``change`` says.

        At most 40,000 documents are in memory at a time; the progress follows when all are in.
        Repeating is harmless.

        Args:
            change: A change of a table of ``TARGETS``.

        Returns:
            Documents accepted and deleted. A document that moved to another day's index counts as
            accepted alone.

        Raises:
            SinkError: The server is at fault, an index has another type for a field, or documents
                were rejected (the others are written then). No progress is recorded then, but that
                this version was begun: documents of it that a later change knows nothing of would stay.
        """
        target = TARGETS[change.table.name]
        written = Written()
        rejected = _Rejected()
        with self._server.client() as client:
            self._prepare(client, target)
            if change.full:
                # Whatever happens from here on, only a whole full write ends in a progress.
                client.options(ignore_status=404).delete(index=PROGRESS_INDEX, id=target.table.name)
            elif (held := self.progress(target.table.name)) is not None:
                begun = {*held.begun, change.progress.version}
                _record(client, target, replace(held, begun=tuple(sorted(begun))))
            mark = f"{change.progress.table_id}/{change.progress.version}"
            indices = Indices(self._server, client, target, mark)
            indices.refresh()
            for keys in slices_of(change.deletes.to_reader()):
                written.deleted += rejected.count(indices.delete_keys(keys))
            for outcome in side_by_side(indices, slices_of(change.upserts), change.full):
                written.upserted += rejected.count(outcome)
            indices.refresh()
            if change.full and not rejected.number:
                stale = {"bool": {"must_not": {"term": {MARK: mark}}}}
                written.deleted += rejected.count(indices.delete(indices.find(stale)))
                indices.refresh()
            if rejected.number:
                raise self._server.error(rejected.sentence(target, written))
            _record(client, target, change.progress)
        return written

    def count(self, table: str) -> int:
        """Documents of ours of a lake table.

        Args:
            table: Lake table, a key of ``TARGETS``.

        Returns:
            Their number; those of somebody else in the same indices do not count.

        Raises:
            SinkError: The server is at fault.
        """
        pattern = TARGETS[table].pattern
        with self._server.client() as client:
            client.indices.refresh(index=pattern, ignore_unavailable=True)
            ours = {"exists": {"field": MARK}}
            return int(client.count(index=pattern, query=ours, ignore_unavailable=True)["count"])

    def _prepare(self, client: Elasticsearch, target: Target) -> None:
        """Make the templates, and give indices that exist the fields that they lack."""
        client.indices.put_index_template(
            name=PROGRESS_INDEX,
            index_patterns=[PROGRESS_INDEX],
            priority=500,
            template={
                "settings": {"auto_expand_replicas": "0-1"},
                "mappings": {
                    "properties": {
                        "table_id": {"type": "keyword"},
                        "version": {"type": "long"},
                        "begun": {"type": "long"},
                    }
                },
            },
        )
        client.indices.put_index_template(name=f"wifi_assets_{target.table.name}", **target.template())
        properties = target.properties()
        known = client.field_caps(
            index=target.pattern, fields=list(properties), include_unmapped=True, ignore_unavailable=True
        )
        ours = {index for index in known["indices"] if target.owns(index)}
        lacking: dict[str, list[str]] = {}
        for name, definition in properties.items():
            wanted = properties[definition.get("path", name)]["type"]
            kinds = known["fields"].get(name, {"unmapped": {}})
            for kind, where in kinds.items():
                at_fault = ours.intersection(where.get("indices", ours))
                if kind == "unmapped":
                    for index in at_fault:
                        lacking.setdefault(index, []).append(name)
                elif kind != wanted and at_fault:
                    raise self._server.error(
                        f"index {min(at_fault)} has the field {name} as {kind}, and {target.table.name} "
                        f"needs {wanted}; reindex it with that type or delete it, then run again"
                    )
        for index, names in lacking.items():
            client.indices.put_mapping(index=index, properties={name: properties[name] for name in names})


def _record(client: Elasticsearch, target: Target, progress: Progress) -> None:
    client.index(index=PROGRESS_INDEX, id=target.table.name, document=asdict(progress))


@dataclass
class _Rejected:
    """The rejected documents of a change: all counted, the first of them kept."""

    number: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        self.number += len(outcome.rejected)
        self.first += outcome.rejected[: NAMED - len(self.first)]
        return outcome.accepted

    def sentence(self, target: Target, written: Written) -> str:
        named = "; ".join(
            f"index {item['_index']} id {one_line(item['_id'])} ({item['status']} {describe(item['error'])})"
            for item in self.first
        )
        more = f"; and {self.number - len(self.first)} more" if self.number > len(self.first) else ""
        return (
            f"rejected {self.number} documents of {target.table.name}, {written.upserted} others are "
            f"written: {named}{more}; mend the cause and run again"
        )
