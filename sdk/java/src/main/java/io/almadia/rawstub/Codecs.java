package io.almadia.rawstub;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdInputStream;
import com.google.protobuf.ByteString;
import io.almadia.v1.CompressionCodec;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/** The codecs of batches that this program knows. */
final class Codecs {
  /** The broker decompresses what is in others. */
  static final List<CompressionCodec> ACCEPTED =
      List.of(CompressionCodec.COMPRESSION_CODEC_GZIP, CompressionCodec.COMPRESSION_CODEC_ZSTD);

  private Codecs() {}

  static ByteString compress(CompressionCodec codec, ByteString payload) throws IOException {
    switch (codec) {
      case COMPRESSION_CODEC_UNSPECIFIED:
        return payload;
      case COMPRESSION_CODEC_GZIP:
        ByteString.Output packed = ByteString.newOutput();
        try (OutputStream out = new GZIPOutputStream(packed)) {
          payload.writeTo(out);
        }
        return packed.toByteString();
      case COMPRESSION_CODEC_ZSTD:
        return ByteString.copyFrom(Zstd.compress(payload.toByteArray()));
      default:
        throw new IOException("no codec " + codec + " here");
    }
  }

  /** Never makes more than {@code size} bytes, whatever it is given. */
  static ByteString decompress(CompressionCodec codec, ByteString packed, int size)
      throws IOException {
    if (codec == CompressionCodec.COMPRESSION_CODEC_UNSPECIFIED) {
      return packed;
    }
    try (InputStream in = open(codec, packed.newInput())) {
      byte[] payload = in.readNBytes(size);
      if (payload.length < size || in.read() >= 0) {
        throw new IOException("more or less than " + size + " bytes");
      }
      return ByteString.copyFrom(payload);
    }
  }

  private static InputStream open(CompressionCodec codec, InputStream packed) throws IOException {
    switch (codec) {
      case COMPRESSION_CODEC_GZIP:
        return new GZIPInputStream(packed);
      case COMPRESSION_CODEC_ZSTD:
        return new ZstdInputStream(packed);
      default:
        throw new IOException("no codec " + codec + " here");
    }
  }
}
