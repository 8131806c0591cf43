import datetime

from almadia.v1 import common_pb2 as _common_pb2
from almadia.v1 import record_pb2 as _record_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadOptions(_message.Message):
    __slots__ = ("format", "accept_codecs", "max_bytes", "reset")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_CODECS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    format: _common_pb2.RecordFormat
    accept_codecs: _containers.RepeatedScalarFieldContainer[_record_pb2.CompressionCodec]
    max_bytes: int
    reset: _common_pb2.Anchor
    def __init__(self, format: _Optional[_Union[_common_pb2.RecordFormat, str]] = ..., accept_codecs: _Optional[_Iterable[_Union[_record_pb2.CompressionCodec, str]]] = ..., max_bytes: _Optional[int] = ..., reset: _Optional[_Union[_common_pb2.Anchor, str]] = ...) -> None: ...

class PartitionRecords(_message.Message):
    __slots__ = ("records", "batches", "topic", "partition", "next_offset", "high_watermark", "log_start_offset", "leader_epoch", "size_bytes", "error")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    HIGH_WATERMARK_FIELD_NUMBER: _ClassVar[int]
    LOG_START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_record_pb2.LogRecord]
    batches: _containers.RepeatedCompositeFieldContainer[_record_pb2.RecordBatch]
    topic: str
    partition: int
    next_offset: int
    high_watermark: int
    log_start_offset: int
    leader_epoch: int
    size_bytes: int
    error: _common_pb2.ErrorDetail
    def __init__(self, records: _Optional[_Iterable[_Union[_record_pb2.LogRecord, _Mapping]]] = ..., batches: _Optional[_Iterable[_Union[_record_pb2.RecordBatch, _Mapping]]] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., next_offset: _Optional[int] = ..., high_watermark: _Optional[int] = ..., log_start_offset: _Optional[int] = ..., leader_epoch: _Optional[int] = ..., size_bytes: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("partitions", "options", "max_wait", "min_bytes")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    MIN_BYTES_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PartitionPosition]
    options: ReadOptions
    max_wait: _duration_pb2.Duration
    min_bytes: int
    def __init__(self, partitions: _Optional[_Iterable[_Union[_common_pb2.PartitionPosition, _Mapping]]] = ..., options: _Optional[_Union[ReadOptions, _Mapping]] = ..., max_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., min_bytes: _Optional[int] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionRecords]
    def __init__(self, partitions: _Optional[_Iterable[_Union[PartitionRecords, _Mapping]]] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("init", "credit_bytes", "seeks", "pauses", "resumes", "seek_id", "done_bytes")
    INIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEEKS_FIELD_NUMBER: _ClassVar[int]
    PAUSES_FIELD_NUMBER: _ClassVar[int]
    RESUMES_FIELD_NUMBER: _ClassVar[int]
    SEEK_ID_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    init: ConsumeInit
    credit_bytes: int
    seeks: _containers.RepeatedCompositeFieldContainer[_common_pb2.PartitionPosition]
    pauses: _containers.RepeatedCompositeFieldContainer[_common_pb2.TopicPartition]
    resumes: _containers.RepeatedCompositeFieldContainer[_common_pb2.TopicPartition]
    seek_id: int
    done_bytes: int
    def __init__(self, init: _Optional[_Union[ConsumeInit, _Mapping]] = ..., credit_bytes: _Optional[int] = ..., seeks: _Optional[_Iterable[_Union[_common_pb2.PartitionPosition, _Mapping]]] = ..., pauses: _Optional[_Iterable[_Union[_common_pb2.TopicPartition, _Mapping]]] = ..., resumes: _Optional[_Iterable[_Union[_common_pb2.TopicPartition, _Mapping]]] = ..., seek_id: _Optional[int] = ..., done_bytes: _Optional[int] = ...) -> None: ...

class ConsumeInit(_message.Message):
    __slots__ = ("partitions", "topics", "start", "options", "heartbeat_interval", "until_end")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    UNTIL_END_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PartitionPosition]
    topics: _containers.RepeatedScalarFieldContainer[str]
    start: _common_pb2.Position
    options: ReadOptions
    heartbeat_interval: _duration_pb2.Duration
    until_end: bool
    def __init__(self, partitions: _Optional[_Iterable[_Union[_common_pb2.PartitionPosition, _Mapping]]] = ..., topics: _Optional[_Iterable[str]] = ..., start: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., options: _Optional[_Union[ReadOptions, _Mapping]] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., until_end: bool = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("partitions", "size_bytes", "session", "notice", "seek_id")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    SEEK_ID_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionRecords]
    size_bytes: int
    session: ConsumeSession
    notice: _common_pb2.Notice
    seek_id: int
    def __init__(self, partitions: _Optional[_Iterable[_Union[PartitionRecords, _Mapping]]] = ..., size_bytes: _Optional[int] = ..., session: _Optional[_Union[ConsumeSession, _Mapping]] = ..., notice: _Optional[_Union[_common_pb2.Notice, _Mapping]] = ..., seek_id: _Optional[int] = ...) -> None: ...

class ConsumeSession(_message.Message):
    __slots__ = ("heartbeat_interval",)
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TailRequest(_message.Message):
    __slots__ = ("partitions", "topics", "start", "options", "until_end", "max_records")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_END_FIELD_NUMBER: _ClassVar[int]
    MAX_RECORDS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PartitionPosition]
    topics: _containers.RepeatedScalarFieldContainer[str]
    start: _common_pb2.Position
    options: ReadOptions
    until_end: bool
    max_records: int
    def __init__(self, partitions: _Optional[_Iterable[_Union[_common_pb2.PartitionPosition, _Mapping]]] = ..., topics: _Optional[_Iterable[str]] = ..., start: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., options: _Optional[_Union[ReadOptions, _Mapping]] = ..., until_end: bool = ..., max_records: _Optional[int] = ...) -> None: ...

class TailResponse(_message.Message):
    __slots__ = ("partitions", "notice")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionRecords]
    notice: _common_pb2.Notice
    def __init__(self, partitions: _Optional[_Iterable[_Union[PartitionRecords, _Mapping]]] = ..., notice: _Optional[_Union[_common_pb2.Notice, _Mapping]] = ...) -> None: ...

class ListOffsetsRequest(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[_common_pb2.PartitionPosition]
    def __init__(self, partitions: _Optional[_Iterable[_Union[_common_pb2.PartitionPosition, _Mapping]]] = ...) -> None: ...

class ListOffsetsResponse(_message.Message):
    __slots__ = ("offsets",)
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    offsets: _containers.RepeatedCompositeFieldContainer[ListedOffset]
    def __init__(self, offsets: _Optional[_Iterable[_Union[ListedOffset, _Mapping]]] = ...) -> None: ...

class ListedOffset(_message.Message):
    __slots__ = ("topic", "partition", "offset", "time", "leader_epoch", "error")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    time: _timestamp_pb2.Timestamp
    leader_epoch: int
    error: _common_pb2.ErrorDetail
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., leader_epoch: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...
