import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Acks(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACKS_UNSPECIFIED: _ClassVar[Acks]
    ACKS_QUORUM: _ClassVar[Acks]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_FSYNCED: _ClassVar[Durability]

class Anchor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANCHOR_UNSPECIFIED: _ClassVar[Anchor]
    ANCHOR_EARLIEST: _ClassVar[Anchor]
    ANCHOR_LATEST: _ClassVar[Anchor]

class RecordFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECORD_FORMAT_UNSPECIFIED: _ClassVar[RecordFormat]
    RECORD_FORMAT_RECORDS: _ClassVar[RecordFormat]
    RECORD_FORMAT_TEXT: _ClassVar[RecordFormat]
    RECORD_FORMAT_BATCHES: _ClassVar[RecordFormat]

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_RECORD_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_BATCH_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_CORRUPT_BATCH: _ClassVar[ErrorReason]
    ERROR_REASON_UNSUPPORTED_CODEC: _ClassVar[ErrorReason]
    ERROR_REASON_TOPIC_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PARTITION_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_NO_LEADER: _ClassVar[ErrorReason]
    ERROR_REASON_BROKER_NOT_READY: _ClassVar[ErrorReason]
    ERROR_REASON_OUTCOME_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_PARTIALLY_WRITTEN: _ClassVar[ErrorReason]
    ERROR_REASON_OFFSET_OUT_OF_RANGE: _ClassVar[ErrorReason]
    ERROR_REASON_RESPONSE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_OUT_OF_CAPACITY: _ClassVar[ErrorReason]
    ERROR_REASON_ACCESS_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_DATA_CORRUPTED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_ETAG_MISMATCH: _ClassVar[ErrorReason]

class NoticeReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_REASON_UNSPECIFIED: _ClassVar[NoticeReason]
    NOTICE_REASON_DRAINING: _ClassVar[NoticeReason]
ACKS_UNSPECIFIED: Acks
ACKS_QUORUM: Acks
DURABILITY_UNSPECIFIED: Durability
DURABILITY_FSYNCED: Durability
ANCHOR_UNSPECIFIED: Anchor
ANCHOR_EARLIEST: Anchor
ANCHOR_LATEST: Anchor
RECORD_FORMAT_UNSPECIFIED: RecordFormat
RECORD_FORMAT_RECORDS: RecordFormat
RECORD_FORMAT_TEXT: RecordFormat
RECORD_FORMAT_BATCHES: RecordFormat
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_RECORD_TOO_LARGE: ErrorReason
ERROR_REASON_BATCH_TOO_LARGE: ErrorReason
ERROR_REASON_CORRUPT_BATCH: ErrorReason
ERROR_REASON_UNSUPPORTED_CODEC: ErrorReason
ERROR_REASON_TOPIC_NOT_FOUND: ErrorReason
ERROR_REASON_PARTITION_NOT_FOUND: ErrorReason
ERROR_REASON_ALREADY_EXISTS: ErrorReason
ERROR_REASON_NO_LEADER: ErrorReason
ERROR_REASON_BROKER_NOT_READY: ErrorReason
ERROR_REASON_OUTCOME_UNKNOWN: ErrorReason
ERROR_REASON_PARTIALLY_WRITTEN: ErrorReason
ERROR_REASON_OFFSET_OUT_OF_RANGE: ErrorReason
ERROR_REASON_RESPONSE_TOO_LARGE: ErrorReason
ERROR_REASON_OUT_OF_CAPACITY: ErrorReason
ERROR_REASON_ACCESS_DENIED: ErrorReason
ERROR_REASON_DATA_CORRUPTED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_ETAG_MISMATCH: ErrorReason
NOTICE_REASON_UNSPECIFIED: NoticeReason
NOTICE_REASON_DRAINING: NoticeReason

class TopicPartition(_message.Message):
    __slots__ = ("topic", "partition")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("offset", "anchor", "time", "last")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    offset: int
    anchor: Anchor
    time: _timestamp_pb2.Timestamp
    last: int
    def __init__(self, offset: _Optional[int] = ..., anchor: _Optional[_Union[Anchor, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last: _Optional[int] = ...) -> None: ...

class PartitionPosition(_message.Message):
    __slots__ = ("topic", "partition", "position")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    position: Position
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class Broker(_message.Message):
    __slots__ = ("id", "endpoint")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    id: int
    endpoint: str
    def __init__(self, id: _Optional[int] = ..., endpoint: _Optional[str] = ...) -> None: ...

class LeaderHint(_message.Message):
    __slots__ = ("topic", "partition", "broker", "leader_epoch")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    BROKER_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    broker: Broker
    leader_epoch: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., broker: _Optional[_Union[Broker, _Mapping]] = ..., leader_epoch: _Optional[int] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("reason", "code", "message", "retryable", "retry_delay", "leader", "metadata", "partitions")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    reason: ErrorReason
    code: int
    message: str
    retryable: bool
    retry_delay: _duration_pb2.Duration
    leader: LeaderHint
    metadata: _containers.ScalarMap[str, str]
    partitions: _containers.RepeatedCompositeFieldContainer[TopicPartition]
    def __init__(self, reason: _Optional[_Union[ErrorReason, str]] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., retryable: bool = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., leader: _Optional[_Union[LeaderHint, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., partitions: _Optional[_Iterable[_Union[TopicPartition, _Mapping]]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("reason", "deadline", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: NoticeReason
    deadline: _duration_pb2.Duration
    message: str
    def __init__(self, reason: _Optional[_Union[NoticeReason, str]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...
