"""Every call once, told on standard output."""

import grpc
from almadia.v1.common_pb2 import (
    ANCHOR_EARLIEST,
    ANCHOR_LATEST,
    RECORD_FORMAT_TEXT,
    Durability,
    PartitionPosition,
    Position,
)
from almadia.v1.fetch_service_pb2 import ListOffsetsRequest, ReadOptions, TailRequest
from almadia.v1.produce_service_pb2 import ProduceEntry, ProduceRequest
from almadia.v1.record_pb2 import COMPRESSION_CODEC_ZSTD, Header, LogRecord
from almadia.v1.topic_service_pb2 import (
    CreateTopicRequest,
    DeleteTopicRequest,
    GetTopicRequest,
    Topic,
)

from batch import pack, unpack
from stream import consume, produce_stream
from transfer import TIMEOUT, fetch_batches


def tour(client, topic):
    create_topic(client, topic)
    produce_records(client, topic)
    produce_batch(client, topic)
    produce_entries(client, topic)
    list_offsets(client, topic)
    tail_text(client, topic)
    decode_batches(client, topic)
    consume_text(client, topic)
    delete_topic(client, topic)
    show_error(client, topic)


def create_topic(client, topic):
    response = client.topics.CreateTopic(
        CreateTopicRequest(topic=Topic(name=topic, partition_count=2)), timeout=TIMEOUT
    )
    print(f"created a topic of {response.topic.partition_count} partitions")


def produce_records(client, topic):
    """Writes the simple form.

    A record with a key goes to the partition of the key, so one request may write to
    several.
    """
    response = client.produce.Produce(
        ProduceRequest(
            topic=topic,
            records=[
                LogRecord(key_text="abc", value_text="one"),
                LogRecord(key_text="a", value_text="two"),
                LogRecord(  # without a value
                    key_text="abc", headers=[Header(key="color", value_text="red")]
                ),
            ],
        ),
        timeout=TIMEOUT,
    )
    for result in sorted(response.results, key=lambda r: r.partition):
        print(
            f"partition {result.partition}: wrote {result.record_count} records"
            f" from offset {result.base_offset}, {Durability.Name(result.durability)}"
        )


def produce_batch(client, topic):
    """Writes the fast form, compressed, to a partition of our choice."""
    batch = pack(
        [
            LogRecord(value=b"three", timestamp_ms=1700000000000),
            # Empty, which is not absent.
            LogRecord(value=b"", timestamp_ms=1700000000001),
            LogRecord(key=b"\xff", value=b"no text", timestamp_ms=1700000000002),
        ],
        COMPRESSION_CODEC_ZSTD,
    )
    response = client.produce.Produce(
        ProduceRequest(topic=topic, partition=0, batch=batch), timeout=TIMEOUT
    )
    for result in response.results:
        print(
            f"partition {result.partition}: wrote a batch of {result.record_count} records"
        )


def produce_entries(client, topic):
    """Writes on a stream."""
    entries = [
        ProduceEntry(partition=1, records=[LogRecord(value_text=value)])
        for value in ("four", "five")
    ]
    for ack in produce_stream(client, topic, entries, TIMEOUT):
        print(f"entry {ack.request_id} went to offset {ack.results[0].base_offset}")


def list_offsets(client, topic):
    response = client.fetch.ListOffsets(
        ListOffsetsRequest(
            partitions=[
                PartitionPosition(
                    topic=topic, partition=0, position=Position(anchor=anchor)
                )
                for anchor in (ANCHOR_EARLIEST, ANCHOR_LATEST)
            ]
        ),
        timeout=TIMEOUT,
    )
    # What failed for one partition of several stands in its error.
    for listed in response.offsets:
        if listed.HasField("error"):
            raise RuntimeError(f"list offsets: {listed.error.message}")
    first, end = (listed.offset for listed in response.offsets)
    print(f"partition 0: offsets from {first} to {end}")


def tail_text(client, topic):
    """Streams the whole topic as text, and stops at its end.

    Without until_end it would wait for more.
    """
    responses = client.fetch.Tail(
        TailRequest(
            topics=[topic],
            start=Position(anchor=ANCHOR_EARLIEST),
            options=ReadOptions(format=RECORD_FORMAT_TEXT),
            until_end=True,
        ),
        timeout=TIMEOUT,
    )
    lines = [
        f"partition {part.partition}, offset {record.offset}: {describe(record)}"
        for response in responses
        for part in response.partitions
        for record in part.records
    ]
    # Records of one partition come in order, partitions in any.
    print("\n".join(sorted(lines)))


def decode_batches(client, topic):
    """Reads stored batches, starting in the middle of one."""
    start = 2
    for batch in fetch_batches(client, topic, start).batches:
        for record in unpack(batch, start):
            print(
                f"decoded offset {record.offset}, time {record.timestamp_ms}:"
                f" {describe(record)}"
            )


def consume_text(client, topic):
    """Reads a partition with the least credit.

    The broker sends one message, and no more until that is done with.
    """
    position = PartitionPosition(topic=topic, partition=1, position=Position(last=3))
    options = ReadOptions(format=RECORD_FORMAT_TEXT)
    for record in consume(client, position, options, 1, TIMEOUT):
        print(f"consumed offset {record.offset}: {describe(record)}")


def delete_topic(client, topic):
    client.topics.DeleteTopic(DeleteTopicRequest(topic=topic), timeout=TIMEOUT)
    print("deleted the topic")


def show_error(client, topic):
    """Asks for what is gone.

    Every error tells its reason in a trailer too, which needs no further protos to be read.
    """
    try:
        client.topics.GetTopic(GetTopicRequest(topic=topic), timeout=TIMEOUT)
    except grpc.RpcError as error:
        reason = dict(error.trailing_metadata())["almadia-reason"]
        print(f"get topic: code {error.code().value[0]}, {reason}")
    else:
        raise RuntimeError(f"topic {topic} is still there")


def describe(record):
    """Tells of a record as it was delivered: as text, or as bytes."""
    key = show(optional(record, "key_text"), optional(record, "key"))
    value = show(optional(record, "value_text"), optional(record, "value"))
    line = f"key {key}, value {value}"
    for header in record.headers:
        line += f", {header.key}={show(optional(header, 'value_text'), header.value)}"
    return line


def optional(message, field):
    """Tells an absent field, None, from an empty one."""
    return getattr(message, field) if message.HasField(field) else None


def show(text, data):
    if text is not None:
        return f'"{text}"'
    return "none" if data is None else f"{len(data)} bytes"
