"""The two streams on which both sides talk."""

import queue

from almadia.v1.fetch_service_pb2 import ConsumeInit, ConsumeRequest
from almadia.v1.produce_service_pb2 import ProduceStreamInit, ProduceStreamRequest


def produce_stream(client, topic, entries, timeout):
    """Writes entries without waiting for one before the next, and yields their acks.

    They are in order for each partition, and numbered as the entries are, from 1. An
    entry without an ack has failed, with the error of the stream, which is raised.
    """

    def requests():
        # Taken as fast as the broker reads, which is how it slows us down.
        yield ProduceStreamRequest(init=ProduceStreamInit(topic=topic))
        for entry in entries:
            yield ProduceStreamRequest(entries=[entry])

    for response in client.produce.ProduceStream(requests(), timeout=timeout):
        yield from response.acks


def consume(client, position, options, credit, timeout):
    """Yields the records of a partition to the end that it has now.

    There are never more than credit bytes, and one message, on the way.
    """
    init = ConsumeInit(partitions=[position], options=options, until_end=True)
    requests = queue.SimpleQueue()
    requests.put(ConsumeRequest(init=init, credit_bytes=credit))
    try:
        for response in client.fetch.Consume(iter(requests.get, None), timeout=timeout):
            for part in response.partitions:
                if part.HasField("error"):
                    raise RuntimeError(f"consume: {part.error.message}")
                yield from part.records
            # Done with them: the credit comes back.
            requests.put(ConsumeRequest(done_bytes=response.size_bytes))
    finally:
        requests.put(None)  # ends the requests
