package io.almadia.rawstub;

import io.almadia.v1.ConsumeInit;
import io.almadia.v1.ConsumeRequest;
import io.almadia.v1.ConsumeResponse;
import io.almadia.v1.LogRecord;
import io.almadia.v1.PartitionPosition;
import io.almadia.v1.PartitionRecords;
import io.almadia.v1.ProduceAck;
import io.almadia.v1.ProduceEntry;
import io.almadia.v1.ProduceStreamInit;
import io.almadia.v1.ProduceStreamRequest;
import io.almadia.v1.ProduceStreamResponse;
import io.almadia.v1.ReadOptions;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The two streams on which both sides talk, with the blocking calls of grpc-java, which it still
 * marks as experimental; its StreamObservers do the same in callbacks.
 */
final class Streams {
  private Streams() {}

  /**
   * Writes entries without waiting for one before the next, and gives their acks: in order for each
   * partition, and numbered as the entries are, from 1. An entry without an ack has failed, with
   * the error of the stream, which is thrown.
   */
  static List<ProduceAck> produce(Client client, String topic, List<ProduceEntry> entries)
      throws StatusException, InterruptedException {
    BlockingClientCall<ProduceStreamRequest, ProduceStreamResponse> call =
        client.produceStreams().produceStream();
    new Thread(() -> send(call, topic, entries)).start();
    List<ProduceAck> acks = new ArrayList<>();
    // It ends with OK when all is acknowledged.
    for (ProduceStreamResponse r = call.read(); r != null; r = call.read()) {
      acks.addAll(r.getAcksList());
    }
    return acks;
  }

  /**
   * Sends as fast as the broker reads, which is how it slows us down. If the stream has ended, the
   * reader knows why.
   */
  private static void send(
      BlockingClientCall<ProduceStreamRequest, ProduceStreamResponse> call,
      String topic,
      List<ProduceEntry> entries) {
    ProduceStreamRequest.Builder request =
        ProduceStreamRequest.newBuilder()
            .setInit(ProduceStreamInit.newBuilder().setTopic(topic)); // in the first only
    try {
      for (ProduceEntry entry : entries) {
        if (!call.write(request.addEntries(entry).build())) {
          return;
        }
        request.clear();
      }
      call.halfClose();
    } catch (StatusException e) {
      return;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Gives {@code each} the records of a partition, to the end that it has now, and never has more
   * than {@code credit} bytes, and one message, on the way.
   */
  static void consume(
      Client client,
      PartitionPosition from,
      ReadOptions options,
      long credit,
      Consumer<LogRecord> each)
      throws StatusException, InterruptedException {
    BlockingClientCall<ConsumeRequest, ConsumeResponse> call = client.fetchStreams().consume();
    call.write(
        ConsumeRequest.newBuilder()
            .setInit(
                ConsumeInit.newBuilder()
                    .addPartitions(from)
                    .setOptions(options)
                    .setUntilEnd(true))
            .setCreditBytes(credit)
            .build());
    for (ConsumeResponse response = call.read(); response != null; response = call.read()) {
      for (PartitionRecords part : response.getPartitionsList()) {
        if (part.hasError()) {
          throw new IllegalStateException("consume: " + part.getError().getMessage());
        }
        part.getRecordsList().forEach(each);
      }
      // Done with them: the credit comes back.
      call.write(ConsumeRequest.newBuilder().setDoneBytes(response.getSizeBytes()).build());
    }
  }
}
