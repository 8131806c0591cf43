package io.almadia.rawstub;

import io.almadia.v1.CompressionCodec;

/** How records travel. */
enum Form {
  /** As they are; the broker packs and unpacks them. */
  RECORDS(CompressionCodec.COMPRESSION_CODEC_UNSPECIFIED),
  /** In batches, packed and unpacked here. */
  BATCHES(CompressionCodec.COMPRESSION_CODEC_UNSPECIFIED),
  /** In batches compressed with gzip. */
  GZIP(CompressionCodec.COMPRESSION_CODEC_GZIP),
  /** In batches compressed with zstd. */
  ZSTD(CompressionCodec.COMPRESSION_CODEC_ZSTD),
  /** On one stream each way. */
  STREAM(CompressionCodec.COMPRESSION_CODEC_UNSPECIFIED);

  final CompressionCodec codec;

  Form(CompressionCodec codec) {
    this.codec = codec;
  }
}
