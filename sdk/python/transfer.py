"""Files into topics and back."""

from almadia.v1.common_pb2 import RECORD_FORMAT_BATCHES, PartitionPosition, Position
from almadia.v1.fetch_service_pb2 import FetchRequest, ReadOptions, TailRequest
from almadia.v1.produce_service_pb2 import ProduceEntry, ProduceRequest
from almadia.v1.record_pb2 import (
    COMPRESSION_CODEC_GZIP,
    COMPRESSION_CODEC_UNSPECIFIED,
    COMPRESSION_CODEC_ZSTD,
    RecordBatch,
    RecordSet,
)
from almadia.v1.topic_service_pb2 import CreateTopicRequest, Topic

from batch import ACCEPTED, pack, unpack, unpack_payload
from stream import consume, produce_stream

# The forms with batches.
CODECS = {
    "batches": COMPRESSION_CODEC_UNSPECIFIED,
    "gzip": COMPRESSION_CODEC_GZIP,
    "zstd": COMPRESSION_CODEC_ZSTD,
}

# How records travel.
FORMS = ("records", "stream", *CODECS)

# Bounds the records of one write. Larger ones travel alone.
CHUNK_BYTES = 256 << 10

# Bounds each call, in seconds.
TIMEOUT = 30


def write(client, topic, form, path):
    """Makes a topic of one partition and writes the records of a file into it."""
    with open(path, "rb") as file:
        records = RecordSet.FromString(file.read()).records
    client.topics.CreateTopic(
        CreateTopicRequest(topic=Topic(name=topic, partition_count=1)), timeout=TIMEOUT
    )
    if form == "stream":
        entries = (
            ProduceEntry(partition=0, batch=pack(chunk)) for chunk in chunks(records)
        )
        for ack in produce_stream(client, topic, entries, TIMEOUT):
            pass  # that much is durable
        return
    for chunk in chunks(records):
        request = ProduceRequest(topic=topic, partition=0)
        if form == "records":
            request.records.extend(chunk)
        else:
            request.batch.CopyFrom(pack(chunk, CODECS[form]))
        # An answer means that all of it is durable; anything else raises.
        client.produce.Produce(request, timeout=TIMEOUT)


def chunks(records):
    """Cuts records into runs of at most CHUNK_BYTES."""
    run, size = [], 0
    for record in records:
        n = record.ByteSize()
        if run and size + n > CHUNK_BYTES:
            yield run
            run, size = [], 0
        run.append(record)
        size += n
    if run:
        yield run


def read(client, topic, form, path):
    """Writes what partition 0 of a topic holds into a file."""
    if form == "records":
        records = tail_records(client, topic)
    elif form == "stream":
        records = consume(client, at_offset(topic, 0), None, CHUNK_BYTES, TIMEOUT)
    else:
        records = read_batches(client, topic)
    write_file(path, records)


def tail_records(client, topic):
    """Reads a partition to its end with the broker unpacking."""
    request = TailRequest(partitions=[at_offset(topic, 0)], until_end=True)
    for response in client.fetch.Tail(request, timeout=TIMEOUT):
        for part in response.partitions:
            yield from part.records


def read_batches(client, topic):
    """Reads a partition to its end as it is stored."""
    offset, end = 0, 1
    while offset < end:
        part = fetch_batches(client, topic, offset)
        for batch in part.batches:
            yield from unpack(batch, offset)
        offset, end = part.next_offset, part.high_watermark


def fetch_batches(client, topic, offset):
    """Reads once from partition 0, which must have something from offset on."""
    response = client.fetch.Fetch(
        FetchRequest(
            partitions=[at_offset(topic, offset)],
            options=ReadOptions(
                format=RECORD_FORMAT_BATCHES, accept_codecs=ACCEPTED
            ),
        ),
        timeout=TIMEOUT,
    )
    if not response.partitions:
        raise RuntimeError(
            f"fetch: nothing at offset {offset}; to wait for more, set max_wait"
        )
    return response.partitions[0]


def at_offset(topic, offset):
    """Returns a place in partition 0."""
    return PartitionPosition(
        topic=topic, partition=0, position=Position(offset=offset)
    )


def open_batch(path, target):
    """Writes what is in a batch into a file."""
    with open(path, "rb") as file:
        batch = RecordBatch.FromString(file.read())
    write_file(target, unpack_payload(batch))


def write_file(path, records):
    with open(path, "wb") as file:
        file.write(RecordSet(records=records).SerializeToString())
