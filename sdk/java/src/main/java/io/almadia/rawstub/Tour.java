package io.almadia.rawstub;

import com.google.protobuf.ByteString;
import io.almadia.v1.Anchor;
import io.almadia.v1.CompressionCodec;
import io.almadia.v1.CreateTopicRequest;
import io.almadia.v1.DeleteTopicRequest;
import io.almadia.v1.GetTopicRequest;
import io.almadia.v1.Header;
import io.almadia.v1.ListOffsetsRequest;
import io.almadia.v1.ListOffsetsResponse;
import io.almadia.v1.ListedOffset;
import io.almadia.v1.LogRecord;
import io.almadia.v1.PartitionPosition;
import io.almadia.v1.PartitionRecords;
import io.almadia.v1.Position;
import io.almadia.v1.ProduceAck;
import io.almadia.v1.ProduceEntry;
import io.almadia.v1.ProduceRequest;
import io.almadia.v1.ProduceResponse;
import io.almadia.v1.ProduceResult;
import io.almadia.v1.ReadOptions;
import io.almadia.v1.RecordBatch;
import io.almadia.v1.RecordFormat;
import io.almadia.v1.TailRequest;
import io.almadia.v1.TailResponse;
import io.almadia.v1.Topic;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;

/** Every call once, told on standard output. */
final class Tour {
  private static final Metadata.Key<String> REASON =
      Metadata.Key.of("almadia-reason", Metadata.ASCII_STRING_MARSHALLER);

  private final Client client;
  private final String topic;

  Tour(Client client, String topic) {
    this.client = client;
    this.topic = topic;
  }

  void run() throws Exception {
    createTopic();
    produceRecords();
    produceBatch();
    produceEntries();
    listOffsets();
    tailText();
    decodeBatches();
    consumeText();
    deleteTopic();
    showError();
  }

  private void createTopic() {
    Topic created =
        client
            .topics()
            .createTopic(
                CreateTopicRequest.newBuilder()
                    .setTopic(Topic.newBuilder().setName(topic).setPartitionCount(2))
                    .build())
            .getTopic();
    tell("created a topic of %d partitions", created.getPartitionCount());
  }

  /**
   * Writes the simple form. A record with a key goes to the partition of the key, so one request
   * may write to several.
   */
  private void produceRecords() {
    ProduceResponse response =
        client
            .produce()
            .produce(
                ProduceRequest.newBuilder()
                    .setTopic(topic)
                    .addRecords(LogRecord.newBuilder().setKeyText("abc").setValueText("one"))
                    .addRecords(LogRecord.newBuilder().setKeyText("a").setValueText("two"))
                    .addRecords(
                        LogRecord.newBuilder() // without a value
                            .setKeyText("abc")
                            .addHeaders(Header.newBuilder().setKey("color").setValueText("red")))
                    .build());
    List<ProduceResult> results = new ArrayList<>(response.getResultsList());
    results.sort(Comparator.comparing(ProduceResult::getPartition));
    for (ProduceResult result : results) {
      tell(
          "partition %d: wrote %d records from offset %d, %s",
          result.getPartition(),
          result.getRecordCount(),
          result.getBaseOffset(),
          result.getDurability());
    }
  }

  /** Writes the fast form, compressed, to a partition of our choice. */
  private void produceBatch() throws IOException {
    RecordBatch batch =
        Batches.pack(
            List.of(
                LogRecord.newBuilder()
                    .setValue(ByteString.copyFromUtf8("three"))
                    .setTimestampMs(1700000000000L)
                    .build(),
                LogRecord.newBuilder()
                    .setValue(ByteString.EMPTY) // which is not absent
                    .setTimestampMs(1700000000001L)
                    .build(),
                LogRecord.newBuilder()
                    .setKey(ByteString.copyFrom(new byte[] {(byte) 0xff}))
                    .setValue(ByteString.copyFromUtf8("no text"))
                    .setTimestampMs(1700000000002L)
                    .build()),
            CompressionCodec.COMPRESSION_CODEC_ZSTD);
    ProduceResponse response =
        client
            .produce()
            .produce(
                ProduceRequest.newBuilder()
                    .setTopic(topic)
                    .setPartition(0)
                    .setBatch(batch)
                    .build());
    for (ProduceResult result : response.getResultsList()) {
      tell(
          "partition %d: wrote a batch of %d records",
          result.getPartition(), result.getRecordCount());
    }
  }

  /** Writes on a stream. */
  private void produceEntries() throws Exception {
    List<ProduceEntry> entries = new ArrayList<>();
    for (String value : List.of("four", "five")) {
      entries.add(
          ProduceEntry.newBuilder()
              .setPartition(1)
              .addRecords(LogRecord.newBuilder().setValueText(value))
              .build());
    }
    for (ProduceAck ack : Streams.produce(client, topic, entries)) {
      tell(
          "entry %d went to offset %d", ack.getRequestId(), ack.getResults(0).getBaseOffset());
    }
  }

  private void listOffsets() {
    ListOffsetsResponse response =
        client
            .fetch()
            .listOffsets(
                ListOffsetsRequest.newBuilder()
                    .addPartitions(at(Anchor.ANCHOR_EARLIEST))
                    .addPartitions(at(Anchor.ANCHOR_LATEST))
                    .build());
    // What failed for one partition of several stands in its error.
    for (ListedOffset listed : response.getOffsetsList()) {
      if (listed.hasError()) {
        throw new IllegalStateException("list offsets: " + listed.getError().getMessage());
      }
    }
    tell(
        "partition 0: offsets from %d to %d",
        response.getOffsets(0).getOffset(), response.getOffsets(1).getOffset());
  }

  private PartitionPosition at(Anchor anchor) {
    return PartitionPosition.newBuilder()
        .setTopic(topic)
        .setPartition(0)
        .setPosition(Position.newBuilder().setAnchor(anchor))
        .build();
  }

  /**
   * Streams the whole topic as text, and stops at its end. Without {@code until_end} it would wait
   * for more.
   */
  private void tailText() {
    Iterator<TailResponse> responses =
        client
            .fetch()
            .tail(
                TailRequest.newBuilder()
                    .addTopics(topic)
                    .setStart(Position.newBuilder().setAnchor(Anchor.ANCHOR_EARLIEST))
                    .setOptions(
                        ReadOptions.newBuilder().setFormat(RecordFormat.RECORD_FORMAT_TEXT))
                    .setUntilEnd(true)
                    .build());
    List<String> lines = new ArrayList<>();
    while (responses.hasNext()) {
      for (PartitionRecords part : responses.next().getPartitionsList()) {
        for (LogRecord record : part.getRecordsList()) {
          lines.add(
              String.format(
                  "partition %d, offset %d: %s",
                  part.getPartition(), record.getOffset(), describe(record)));
        }
      }
    }
    Collections.sort(lines); // records of one partition come in order, partitions in any
    lines.forEach(System.out::println);
  }

  /** Reads stored batches, starting in the middle of one. */
  private void decodeBatches() throws IOException {
    long start = 2;
    for (RecordBatch batch : Transfer.fetchBatches(client, topic, start).getBatchesList()) {
      for (LogRecord record : Batches.unpack(batch, start)) {
        tell(
            "decoded offset %d, time %d: %s",
            record.getOffset(), record.getTimestampMs(), describe(record));
      }
    }
  }

  /**
   * Reads a partition with the least credit: the broker sends one message, and no more until that
   * is done with.
   */
  private void consumeText() throws Exception {
    Streams.consume(
        client,
        PartitionPosition.newBuilder()
            .setTopic(topic)
            .setPartition(1)
            .setPosition(Position.newBuilder().setLast(3))
            .build(),
        ReadOptions.newBuilder().setFormat(RecordFormat.RECORD_FORMAT_TEXT).build(),
        1,
        record -> tell("consumed offset %d: %s", record.getOffset(), describe(record)));
  }

  private void deleteTopic() {
    client.topics().deleteTopic(DeleteTopicRequest.newBuilder().setTopic(topic).build());
    tell("deleted the topic");
  }

  /**
   * Asks for what is gone. Every error tells its reason in a trailer too, which needs no further
   * protos to be read.
   */
  private void showError() {
    try {
      client.topics().getTopic(GetTopicRequest.newBuilder().setTopic(topic).build());
    } catch (StatusRuntimeException e) {
      tell(
          "get topic: code %d, %s",
          e.getStatus().getCode().value(), e.getTrailers().get(REASON));
      return;
    }
    throw new IllegalStateException("topic " + topic + " is still there");
  }

  /** Tells of a record as it was delivered: as text, or as bytes. */
  private static String describe(LogRecord record) {
    StringBuilder line = new StringBuilder();
    line.append("key ")
        .append(
            show(
                record.hasKeyText() ? record.getKeyText() : null,
                record.hasKey() ? record.getKey() : null))
        .append(", value ")
        .append(
            show(
                record.hasValueText() ? record.getValueText() : null,
                record.hasValue() ? record.getValue() : null));
    for (Header header : record.getHeadersList()) {
      line.append(", ")
          .append(header.getKey())
          .append('=')
          .append(show(header.hasValueText() ? header.getValueText() : null, header.getValue()));
    }
    return line.toString();
  }

  private static String show(String text, ByteString data) {
    if (text != null) {
      return '"' + text + '"';
    }
    return data == null ? "none" : data.size() + " bytes";
  }

  private static void tell(String format, Object... args) {
    System.out.println(String.format(format, args));
  }
}
