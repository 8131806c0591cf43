from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompressionCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_CODEC_UNSPECIFIED: _ClassVar[CompressionCodec]
    COMPRESSION_CODEC_GZIP: _ClassVar[CompressionCodec]
    COMPRESSION_CODEC_SNAPPY: _ClassVar[CompressionCodec]
    COMPRESSION_CODEC_LZ4: _ClassVar[CompressionCodec]
    COMPRESSION_CODEC_ZSTD: _ClassVar[CompressionCodec]

class TimestampType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIMESTAMP_TYPE_UNSPECIFIED: _ClassVar[TimestampType]
    TIMESTAMP_TYPE_CREATE_TIME: _ClassVar[TimestampType]
    TIMESTAMP_TYPE_APPEND_TIME: _ClassVar[TimestampType]
COMPRESSION_CODEC_UNSPECIFIED: CompressionCodec
COMPRESSION_CODEC_GZIP: CompressionCodec
COMPRESSION_CODEC_SNAPPY: CompressionCodec
COMPRESSION_CODEC_LZ4: CompressionCodec
COMPRESSION_CODEC_ZSTD: CompressionCodec
TIMESTAMP_TYPE_UNSPECIFIED: TimestampType
TIMESTAMP_TYPE_CREATE_TIME: TimestampType
TIMESTAMP_TYPE_APPEND_TIME: TimestampType

class Header(_message.Message):
    __slots__ = ("key", "value", "value_text")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_TEXT_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    value_text: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ..., value_text: _Optional[str] = ...) -> None: ...

class LogRecord(_message.Message):
    __slots__ = ("key", "value", "headers", "timestamp_ms", "offset", "key_text", "value_text")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    KEY_TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_TEXT_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    timestamp_ms: int
    offset: int
    key_text: str
    value_text: str
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., timestamp_ms: _Optional[int] = ..., offset: _Optional[int] = ..., key_text: _Optional[str] = ..., value_text: _Optional[str] = ...) -> None: ...

class RecordSet(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[LogRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[LogRecord, _Mapping]]] = ...) -> None: ...

class RecordBatch(_message.Message):
    __slots__ = ("base_offset", "append_time_ms", "leader_epoch", "payload_crc32c", "record_count", "offset_count", "codec", "uncompressed_bytes", "max_timestamp_ms", "payload", "sparse", "timestamp_type")
    BASE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_CRC32C_FIELD_NUMBER: _ClassVar[int]
    RECORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_COUNT_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    UNCOMPRESSED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_TYPE_FIELD_NUMBER: _ClassVar[int]
    base_offset: int
    append_time_ms: int
    leader_epoch: int
    payload_crc32c: int
    record_count: int
    offset_count: int
    codec: CompressionCodec
    uncompressed_bytes: int
    max_timestamp_ms: int
    payload: bytes
    sparse: bool
    timestamp_type: TimestampType
    def __init__(self, base_offset: _Optional[int] = ..., append_time_ms: _Optional[int] = ..., leader_epoch: _Optional[int] = ..., payload_crc32c: _Optional[int] = ..., record_count: _Optional[int] = ..., offset_count: _Optional[int] = ..., codec: _Optional[_Union[CompressionCodec, str]] = ..., uncompressed_bytes: _Optional[int] = ..., max_timestamp_ms: _Optional[int] = ..., payload: _Optional[bytes] = ..., sparse: bool = ..., timestamp_type: _Optional[_Union[TimestampType, str]] = ...) -> None: ...
