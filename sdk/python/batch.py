"""The ready batch: the fast form of a write, and what the log stores."""

import gzip
import io

import zstandard
from almadia.v1.record_pb2 import (
    COMPRESSION_CODEC_GZIP,
    COMPRESSION_CODEC_UNSPECIFIED,
    COMPRESSION_CODEC_ZSTD,
    TIMESTAMP_TYPE_APPEND_TIME,
    RecordBatch,
    RecordSet,
)

# The codecs that unpack knows. The broker decompresses what is in others.
ACCEPTED = (COMPRESSION_CODEC_GZIP, COMPRESSION_CODEC_ZSTD)


def pack(records, codec=COMPRESSION_CODEC_UNSPECIFIED):
    """Makes a batch of records; the broker stores its payload as it is.

    payload_crc32c is optional, and left out: it takes a package of its own.
    """
    payload = RecordSet(records=records).SerializeToString()
    batch = RecordBatch(
        record_count=len(records),
        max_timestamp_ms=max(record.timestamp_ms for record in records),
        payload=payload,
    )
    if codec != COMPRESSION_CODEC_UNSPECIFIED:
        batch.codec = codec
        batch.uncompressed_bytes = len(payload)
        batch.payload = compress(codec, payload)
    return batch


def unpack(batch, start):
    """Yields the records of a stored batch from offset start on.

    A batch is delivered whole, even to who asked for a record in its middle. Each record
    gets its offset and timestamp, which the batch has once for all.
    """
    for i, record in enumerate(unpack_payload(batch)):
        if not batch.sparse:  # else the records carry their offsets
            record.offset = batch.base_offset + i
        if batch.timestamp_type == TIMESTAMP_TYPE_APPEND_TIME:
            record.timestamp_ms = batch.append_time_ms
        elif not record.timestamp_ms:
            record.timestamp_ms = batch.max_timestamp_ms or batch.append_time_ms
        if record.offset >= start:
            yield record


def unpack_payload(batch):
    """Returns what is in a batch if it is what the batch says.

    The broker looks into compressed payloads only where it must.
    """
    payload = batch.payload
    if batch.codec != COMPRESSION_CODEC_UNSPECIFIED:
        payload = decompress(batch.codec, payload, batch.uncompressed_bytes)
    records = RecordSet.FromString(payload).records
    if len(records) != batch.record_count:
        raise ValueError(
            f"batch at offset {batch.base_offset} has {len(records)} records,"
            f" not {batch.record_count}"
        )
    return records


def compress(codec, payload):
    if codec == COMPRESSION_CODEC_GZIP:
        return gzip.compress(payload)
    if codec == COMPRESSION_CODEC_ZSTD:
        return zstandard.compress(payload)
    raise ValueError(f"no codec {codec} here")


def decompress(codec, packed, size):
    """Never makes more than size bytes, whatever it is given."""
    source = io.BytesIO(packed)
    if codec == COMPRESSION_CODEC_GZIP:
        reader = gzip.GzipFile(fileobj=source)
    elif codec == COMPRESSION_CODEC_ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(source)
    else:
        raise ValueError(f"no codec {codec} here")
    with reader:
        payload = reader.read(size + 1)
    if len(payload) != size:
        raise ValueError(f"more or less than {size} bytes")
    return payload
