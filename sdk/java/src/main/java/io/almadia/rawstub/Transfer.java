package io.almadia.rawstub;

import io.almadia.v1.CreateTopicRequest;
import io.almadia.v1.FetchRequest;
import io.almadia.v1.FetchResponse;
import io.almadia.v1.LogRecord;
import io.almadia.v1.PartitionPosition;
import io.almadia.v1.PartitionRecords;
import io.almadia.v1.Position;
import io.almadia.v1.ProduceEntry;
import io.almadia.v1.ProduceRequest;
import io.almadia.v1.ReadOptions;
import io.almadia.v1.RecordBatch;
import io.almadia.v1.RecordFormat;
import io.almadia.v1.RecordSet;
import io.almadia.v1.TailRequest;
import io.almadia.v1.TailResponse;
import io.almadia.v1.Topic;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Files into topics and back. */
final class Transfer {
  /** Bounds the records of one write. Larger ones travel alone. */
  private static final int CHUNK_BYTES = 256 << 10;

  private Transfer() {}

  /** Makes a topic of one partition and writes the records of a file into it. */
  static void write(Client client, String topic, Form form, String file) throws Exception {
    RecordSet set = RecordSet.parseFrom(Files.readAllBytes(Path.of(file)));
    client
        .topics()
        .createTopic(
            CreateTopicRequest.newBuilder()
                .setTopic(Topic.newBuilder().setName(topic).setPartitionCount(1))
                .build());
    List<List<LogRecord>> chunks = chunks(set.getRecordsList());
    if (form == Form.STREAM) {
      writeStream(client, topic, chunks);
      return;
    }
    for (List<LogRecord> chunk : chunks) {
      ProduceRequest.Builder request =
          ProduceRequest.newBuilder().setTopic(topic).setPartition(0);
      if (form == Form.RECORDS) {
        request.addAllRecords(chunk);
      } else {
        request.setBatch(Batches.pack(chunk, form.codec));
      }
      // An answer means that all of it is durable; anything else throws.
      client.produce().produce(request.build());
    }
  }

  /** Writes a batch of each chunk, all on one stream. */
  private static void writeStream(Client client, String topic, List<List<LogRecord>> chunks)
      throws Exception {
    List<ProduceEntry> entries = new ArrayList<>();
    for (List<LogRecord> chunk : chunks) {
      RecordBatch batch = Batches.pack(chunk, Form.STREAM.codec);
      entries.add(ProduceEntry.newBuilder().setPartition(0).setBatch(batch).build());
    }
    Streams.produce(client, topic, entries);
  }

  /** Cuts records into runs of at most {@code CHUNK_BYTES}. */
  private static List<List<LogRecord>> chunks(List<LogRecord> records) {
    List<List<LogRecord>> runs = new ArrayList<>();
    int begin = 0;
    long size = 0;
    for (int i = 0; i < records.size(); i++) {
      int n = records.get(i).getSerializedSize();
      if (i > begin && size + n > CHUNK_BYTES) {
        runs.add(records.subList(begin, i));
        begin = i;
        size = 0;
      }
      size += n;
    }
    runs.add(records.subList(begin, records.size()));
    return runs;
  }

  /** Writes what partition 0 of a topic holds into a file. */
  static void read(Client client, String topic, Form form, String file) throws Exception {
    RecordSet.Builder result = RecordSet.newBuilder();
    switch (form) {
      case RECORDS:
        tailRecords(client, topic, result);
        break;
      case STREAM:
        Streams.consume(
            client,
            atOffset(topic, 0),
            ReadOptions.getDefaultInstance(),
            CHUNK_BYTES,
            result::addRecords);
        break;
      default:
        readBatches(client, topic, result);
    }
    Files.write(Path.of(file), result.build().toByteArray());
  }

  /** Reads a partition to its end with the broker unpacking. */
  private static void tailRecords(Client client, String topic, RecordSet.Builder result) {
    Iterator<TailResponse> responses =
        client
            .fetch()
            .tail(
                TailRequest.newBuilder()
                    .addPartitions(atOffset(topic, 0))
                    .setUntilEnd(true)
                    .build());
    while (responses.hasNext()) {
      for (PartitionRecords part : responses.next().getPartitionsList()) {
        result.addAllRecords(part.getRecordsList());
      }
    }
  }

  /** Reads a partition to its end as it is stored. */
  private static void readBatches(Client client, String topic, RecordSet.Builder result)
      throws IOException {
    long offset = 0;
    long end = 1;
    while (offset < end) {
      PartitionRecords part = fetchBatches(client, topic, offset);
      for (RecordBatch batch : part.getBatchesList()) {
        result.addAllRecords(Batches.unpack(batch, offset));
      }
      offset = part.getNextOffset();
      end = part.getHighWatermark();
    }
  }

  /** Reads once from partition 0, which must have something from {@code offset} on. */
  static PartitionRecords fetchBatches(Client client, String topic, long offset) {
    FetchResponse response =
        client
            .fetch()
            .fetch(
                FetchRequest.newBuilder()
                    .addPartitions(atOffset(topic, offset))
                    .setOptions(
                        ReadOptions.newBuilder()
                            .setFormat(RecordFormat.RECORD_FORMAT_BATCHES)
                            .addAllAcceptCodecs(Codecs.ACCEPTED))
                    .build());
    if (response.getPartitionsCount() == 0) {
      throw new IllegalStateException(
          "fetch: nothing at offset " + offset + "; to wait for more, set max_wait");
    }
    return response.getPartitions(0);
  }

  /** A place in partition 0. */
  private static PartitionPosition atOffset(String topic, long offset) {
    return PartitionPosition.newBuilder()
        .setTopic(topic)
        .setPartition(0)
        .setPosition(Position.newBuilder().setOffset(offset))
        .build();
  }

  /** Writes what is in a batch into a file. */
  static void openBatch(String batch, String file) throws IOException {
    RecordSet set = Batches.open(RecordBatch.parseFrom(Files.readAllBytes(Path.of(batch))));
    Files.write(Path.of(file), set.toByteArray());
  }
}
