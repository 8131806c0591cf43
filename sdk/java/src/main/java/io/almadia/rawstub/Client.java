package io.almadia.rawstub;

import io.almadia.v1.FetchServiceGrpc;
import io.almadia.v1.FetchServiceGrpc.FetchServiceBlockingStub;
import io.almadia.v1.FetchServiceGrpc.FetchServiceBlockingV2Stub;
import io.almadia.v1.ProduceServiceGrpc;
import io.almadia.v1.ProduceServiceGrpc.ProduceServiceBlockingStub;
import io.almadia.v1.ProduceServiceGrpc.ProduceServiceBlockingV2Stub;
import io.almadia.v1.TopicServiceGrpc;
import io.almadia.v1.TopicServiceGrpc.TopicServiceBlockingStub;
import io.grpc.Channel;
import java.util.concurrent.TimeUnit;

/** A stub for each service; all share one connection. */
final class Client {
  /** Bounds each call. */
  private static final long TIMEOUT_SECONDS = 30;

  private final Channel channel;

  Client(Channel channel) {
    this.channel = channel;
  }

  // A deadline is a moment, so each call takes a stub of its own; they are light.

  TopicServiceBlockingStub topics() {
    return TopicServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  ProduceServiceBlockingStub produce() {
    return ProduceServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  FetchServiceBlockingStub fetch() {
    return FetchServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  ProduceServiceBlockingV2Stub produceStreams() {
    return ProduceServiceGrpc.newBlockingV2Stub(channel)
        .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  FetchServiceBlockingV2Stub fetchStreams() {
    return FetchServiceGrpc.newBlockingV2Stub(channel)
        .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }
}
