package io.almadia.rawstub;

import com.google.protobuf.ByteString;
import io.almadia.v1.CompressionCodec;
import io.almadia.v1.LogRecord;
import io.almadia.v1.RecordBatch;
import io.almadia.v1.RecordSet;
import io.almadia.v1.TimestampType;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/** The ready batch: the fast form of a write, and what the log stores. */
final class Batches {
  private Batches() {}

  /**
   * Makes a batch of records; the broker stores its payload as it is. The checksum is optional;
   * with it, damage on the way is noticed.
   */
  static RecordBatch pack(List<LogRecord> records, CompressionCodec codec) throws IOException {
    ByteString plain = RecordSet.newBuilder().addAllRecords(records).build().toByteString();
    ByteString payload = Codecs.compress(codec, plain);
    RecordBatch.Builder batch =
        RecordBatch.newBuilder()
            .setRecordCount(records.size())
            .setMaxTimestampMs(
                records.stream().mapToLong(LogRecord::getTimestampMs).max().orElse(0))
            .setPayloadCrc32C(crc(payload))
            .setPayload(payload);
    if (codec != CompressionCodec.COMPRESSION_CODEC_UNSPECIFIED) {
      batch.setCodec(codec).setUncompressedBytes(plain.size());
    }
    return batch.build();
  }

  /**
   * Gives the records of a stored batch from offset {@code start} on: a batch is delivered whole,
   * even to who asked for a record in its middle. Each record gets its offset and timestamp, which
   * the batch has once for all.
   */
  static List<LogRecord> unpack(RecordBatch batch, long start) throws IOException {
    List<LogRecord> records = new ArrayList<>();
    long offset = batch.getBaseOffset();
    for (LogRecord stored : open(batch).getRecordsList()) {
      LogRecord.Builder record = stored.toBuilder();
      if (!batch.getSparse()) { // else the records carry their offsets
        record.setOffset(offset++);
      }
      if (record.getTimestampMs() == 0) {
        record.setTimestampMs(batch.getMaxTimestampMs());
      }
      if (record.getTimestampMs() == 0
          || batch.getTimestampType() == TimestampType.TIMESTAMP_TYPE_APPEND_TIME) {
        record.setTimestampMs(batch.getAppendTimeMs());
      }
      if (record.getOffset() >= start) {
        records.add(record.build());
      }
    }
    return records;
  }

  /**
   * Gives what is in a batch if it is what the batch says. The broker has checked the checksum, but
   * looks into compressed payloads only where it must.
   */
  static RecordSet open(RecordBatch batch) throws IOException {
    if (crc(batch.getPayload()) != batch.getPayloadCrc32C()) {
      throw new IOException("batch at offset " + batch.getBaseOffset() + ": checksum mismatch");
    }
    RecordSet set =
        RecordSet.parseFrom(
            Codecs.decompress(batch.getCodec(), batch.getPayload(), batch.getUncompressedBytes()));
    if (set.getRecordsCount() != batch.getRecordCount()) {
      throw new IOException("batch at offset " + batch.getBaseOffset() + ": wrong record count");
    }
    return set;
  }

  private static int crc(ByteString payload) {
    CRC32C crc = new CRC32C();
    crc.update(payload.asReadOnlyByteBuffer());
    return (int) crc.getValue();
  }
}
