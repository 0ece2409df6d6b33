"""Bulk writing, deleting and finding in the indices of one table.

Here belongs what one request, or several side by side, do. Not here: in which order a change takes them
and when it counts as written (``elasticsearch.py``), or what a row looks like there
(``elasticsearch_documents.py``).
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk

from wifi_assets.resources.elasticsearch_documents import MARK, Target, bulk_lines, ids, places
from wifi_assets.resources.elasticsearch_server import ElasticsearchServer, describe

#: Rows that are made documents at once (to begin costs as much as some 5,000 rows), ids that one search
#: looks for, and hits of one page of its answer, of which the server gives no more.
SLICE = 10_000
#: Documents of one bulk request.
CHUNK = 2_000
#: A request takes fewer if they are larger than this together.
CHUNK_BYTES = 20 * 1024 * 1024
#: Slices under way at once: while the server indexes one, the next is made and sent.
WRITERS = 2
#: How often a bulk request that the server is too busy for (429) is sent again.
RETRIES = 7
#: The wait before the first of them, s; it doubles each time up to the longest: about a minute in all.
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

_OURS = {"exists": {"field": MARK}}


@dataclass(frozen=True)
class Outcome:
    """What became of some items of bulk requests: how many were accepted, and which were rejected."""

    accepted: int
    rejected: list[dict[str, Any]]


@dataclass
class Indices:
    """The indices of one table while a change is written."""

    server: ElasticsearchServer
    client: Elasticsearch
    target: Target
    mark: str
    _newest: dict[tuple[int, int], int] = field(default_factory=dict)

    def refresh(self) -> None:
        """Let searches see what was written."""
        self.client.indices.refresh(index=self.target.pattern, ignore_unavailable=True)

    def write(self, rows: pa.Table, may_move: bool) -> Outcome:
        """Write rows; with ``may_move`` delete their documents from the indices of other days."""
        outcome = self._bulk(bulk_lines(self.target, rows, self.mark))
        if not may_move:
            return outcome
        here = places(self.target, rows)
        found = self.find({"ids": {"values": list(here)}})
        moved = self.delete((index, id_) for index, id_ in found if here[id_] != index)
        return Outcome(outcome.accepted, outcome.rejected + moved.rejected)

    def delete(self, documents: Iterable[tuple[str, str]]) -> Outcome:
        """Delete documents by index and id; one that is gone already counts for nothing."""
        return self._bulk(({"delete": {"_index": index, "_id": id_}}, None) for index, id_ in documents)

    def delete_keys(self, keys: pa.Table) -> Outcome:
        """Delete the documents of rows of which only the key columns are known, in whichever index."""
        return self.delete(self.find({"ids": {"values": ids(self.target, keys)}}))

    def find(self, query: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Index and id of our documents that match a query, as of the last refresh."""
        point = self.client.open_point_in_time(index=self.target.pattern, keep_alive="5m", ignore_unavailable=True)[
            "id"
        ]
        try:
            after = None
            while True:
                found = self.client.search(
                    pit={"id": point, "keep_alive": "5m"},
                    query={"bool": {"filter": [query, _OURS]}},
                    sort=["_shard_doc"],
                    search_after=after,
                    size=SLICE,
                    source=False,
                    track_total_hits=False,
                    allow_partial_search_results=False,
                )
                hits = found["hits"]["hits"]
                if not hits:
                    return
                yield from ((hit["_index"], hit["_id"]) for hit in hits)
                after = hits[-1]["sort"]
        finally:
            self.client.close_point_in_time(id=point)

    def may_hold(self, rows: pa.Table) -> bool:
        """True if some of the rows can be here already, and then perhaps in the index of another day.

        New frames have offsets beyond all that are here, which one search a Kafka partition tells; to
        look for each of them by id would cost as much as writing them.
        """
        if not self.target.table.partitioned:
            return False
        lowest = rows.group_by(["topic_generation", "kafka_partition"]).aggregate([("kafka_offset", "min")])
        partitions = {
            (row["topic_generation"], row["kafka_partition"]): row["kafka_offset_min"] for row in lowest.to_pylist()
        }
        for partition in partitions.keys() - self._newest.keys():
            self._newest[partition] = self._newest_offset(*partition)
        return any(offset <= self._newest[partition] for partition, offset in partitions.items())

    def _newest_offset(self, generation: int, partition: int) -> int:
        found = self.client.search(
            index=self.target.pattern,
            ignore_unavailable=True,
            query={
                "bool": {
                    "filter": [
                        {"term": {"topic_generation": generation}},
                        {"term": {"kafka_partition": partition}},
                        _OURS,
                    ]
                }
            },
            sort=[{"kafka_offset": "desc"}],
            size=1,
            source=False,
            track_total_hits=False,
            allow_partial_search_results=False,
        )
        hits = found["hits"]["hits"]
        return hits[0]["sort"][0] if hits else -1

    def _bulk(self, lines: Iterable[Any]) -> Outcome:
        accepted = 0
        rejected = []
        for ok, item in streaming_bulk(
            self.client,
            lines,
            # An action and its document, or None: nothing to take apart.
            expand_action_callback=_as_it_is,
            chunk_size=CHUNK,
            max_chunk_bytes=CHUNK_BYTES,
            max_retries=RETRIES,
            initial_backoff=FIRST_WAIT_SECONDS,
            max_backoff=LONGEST_WAIT_SECONDS,
            raise_on_error=False,
            filter_path="errors,items.*._index,items.*._id,items.*.status,items.*.error",
        ):
            operation, result = item.popitem()
            if ok:
                accepted += 1
            elif result["status"] == 429:
                # The server, not the document: all that follows would wait as long in vain.
                raise self.server.error(
                    f"is too busy or out of disk and refused all attempts ({describe(result)}); run again later"
                )
            elif operation != "delete" or result["status"] != 404:
                rejected.append(result)
        return Outcome(accepted, rejected)


def _as_it_is(line: Any) -> Any:
    return line


def slices_of(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Slices of at most ``SLICE`` rows; holds less than one slice beside the incoming batch."""
    held: list[pa.RecordBatch] = []
    missing = SLICE
    for batch in reader:
        start = 0
        while start < batch.num_rows:
            held.append(batch.slice(start, missing))
            start += held[-1].num_rows
            missing -= held[-1].num_rows
            if not missing:
                yield pa.Table.from_batches(held)
                held, missing = [], SLICE
    if held:
        yield pa.Table.from_batches(held)


def side_by_side(indices: Indices, slices: Iterator[pa.Table], full: bool) -> Iterator[Outcome]:
    """Write slices, ``WRITERS`` at a time; after a full write, what moved is found by its old mark."""
    pool = ThreadPoolExecutor(WRITERS, "elasticsearch")
    try:
        under_way: set[Future[Outcome]] = set()
        for rows in slices:
            under_way.add(pool.submit(indices.write, rows, not full and indices.may_hold(rows)))
            if len(under_way) == 2 * WRITERS:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in under_way)
    finally:
        pool.shutdown(cancel_futures=True)
