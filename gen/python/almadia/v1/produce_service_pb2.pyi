from almadia.v1 import common_pb2 as _common_pb2
from almadia.v1 import record_pb2 as _record_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProduceRequest(_message.Message):
    __slots__ = ("records", "batch", "topic", "partition", "acks")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_record_pb2.LogRecord]
    batch: _record_pb2.RecordBatch
    topic: str
    partition: int
    acks: _common_pb2.Acks
    def __init__(self, records: _Optional[_Iterable[_Union[_record_pb2.LogRecord, _Mapping]]] = ..., batch: _Optional[_Union[_record_pb2.RecordBatch, _Mapping]] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., acks: _Optional[_Union[_common_pb2.Acks, str]] = ...) -> None: ...

class ProduceResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ProduceResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ProduceResult, _Mapping]]] = ...) -> None: ...

class ProduceResult(_message.Message):
    __slots__ = ("partition", "base_offset", "record_count", "append_time_ms", "log_start_offset", "record_indexes", "durability", "leader_epoch")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    BASE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    LOG_START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECORD_INDEXES_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    partition: int
    base_offset: int
    record_count: int
    append_time_ms: int
    log_start_offset: int
    record_indexes: _containers.RepeatedScalarFieldContainer[int]
    durability: _common_pb2.Durability
    leader_epoch: int
    def __init__(self, partition: _Optional[int] = ..., base_offset: _Optional[int] = ..., record_count: _Optional[int] = ..., append_time_ms: _Optional[int] = ..., log_start_offset: _Optional[int] = ..., record_indexes: _Optional[_Iterable[int]] = ..., durability: _Optional[_Union[_common_pb2.Durability, str]] = ..., leader_epoch: _Optional[int] = ...) -> None: ...

class ProduceFailure(_message.Message):
    __slots__ = ("written", "truncated", "failed")
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    written: _containers.RepeatedCompositeFieldContainer[ProduceResult]
    truncated: bool
    failed: _containers.RepeatedCompositeFieldContainer[FailedWrite]
    def __init__(self, written: _Optional[_Iterable[_Union[ProduceResult, _Mapping]]] = ..., truncated: bool = ..., failed: _Optional[_Iterable[_Union[FailedWrite, _Mapping]]] = ...) -> None: ...

class FailedWrite(_message.Message):
    __slots__ = ("partition", "record_indexes", "error")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    RECORD_INDEXES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    partition: int
    record_indexes: _containers.RepeatedScalarFieldContainer[int]
    error: _common_pb2.ErrorDetail
    def __init__(self, partition: _Optional[int] = ..., record_indexes: _Optional[_Iterable[int]] = ..., error: _Optional[_Union[_common_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class ProduceStreamRequest(_message.Message):
    __slots__ = ("init", "entries")
    INIT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    init: ProduceStreamInit
    entries: _containers.RepeatedCompositeFieldContainer[ProduceEntry]
    def __init__(self, init: _Optional[_Union[ProduceStreamInit, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[ProduceEntry, _Mapping]]] = ...) -> None: ...

class ProduceStreamInit(_message.Message):
    __slots__ = ("topic", "acks", "continue_on_error")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    topic: str
    acks: _common_pb2.Acks
    continue_on_error: bool
    def __init__(self, topic: _Optional[str] = ..., acks: _Optional[_Union[_common_pb2.Acks, str]] = ..., continue_on_error: bool = ...) -> None: ...

class ProduceEntry(_message.Message):
    __slots__ = ("records", "batch", "topic", "partition", "request_id")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_record_pb2.LogRecord]
    batch: _record_pb2.RecordBatch
    topic: str
    partition: int
    request_id: int
    def __init__(self, records: _Optional[_Iterable[_Union[_record_pb2.LogRecord, _Mapping]]] = ..., batch: _Optional[_Union[_record_pb2.RecordBatch, _Mapping]] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., request_id: _Optional[int] = ...) -> None: ...

class ProduceStreamResponse(_message.Message):
    __slots__ = ("acks", "limits", "notice")
    ACKS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[ProduceAck]
    limits: ProduceStreamLimits
    notice: _common_pb2.Notice
    def __init__(self, acks: _Optional[_Iterable[_Union[ProduceAck, _Mapping]]] = ..., limits: _Optional[_Union[ProduceStreamLimits, _Mapping]] = ..., notice: _Optional[_Union[_common_pb2.Notice, _Mapping]] = ...) -> None: ...

class ProduceAck(_message.Message):
    __slots__ = ("request_id", "results", "error", "failed")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    results: _containers.RepeatedCompositeFieldContainer[ProduceResult]
    error: _common_pb2.ErrorDetail
    failed: _containers.RepeatedCompositeFieldContainer[FailedWrite]
    def __init__(self, request_id: _Optional[int] = ..., results: _Optional[_Iterable[_Union[ProduceResult, _Mapping]]] = ..., error: _Optional[_Union[_common_pb2.ErrorDetail, _Mapping]] = ..., failed: _Optional[_Iterable[_Union[FailedWrite, _Mapping]]] = ...) -> None: ...

class ProduceStreamLimits(_message.Message):
    __slots__ = ("max_in_flight_count", "max_in_flight_bytes", "max_message_bytes")
    MAX_IN_FLIGHT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_in_flight_count: int
    max_in_flight_bytes: int
    max_message_bytes: int
    def __init__(self, max_in_flight_count: _Optional[int] = ..., max_in_flight_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...
