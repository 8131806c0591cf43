package io.almadia.rawstub;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;

/**
 * Talks to a broker with the generated stubs and nothing else: what it does is all that a client
 * needs. The same program stands in Go and in Python beside it, step for step; take from it what
 * you need.
 */
public final class Main {
  private static final String USAGE =
      "usage: rawstub ADDRESS tour TOPIC\n"
          + "       rawstub ADDRESS write TOPIC FORM FILE\n"
          + "       rawstub ADDRESS read TOPIC FORM FILE\n"
          + "       rawstub open BATCH FILE\n"
          + "FORM is one of records, batches, gzip, zstd, stream";

  private Main() {}

  public static void main(String[] args) throws Exception {
    if (args.length < 3) {
      exitWithUsage();
    }
    if (args[0].equals("open") && args.length == 3) {
      Transfer.openBatch(args[1], args[2]);
      return;
    }
    ManagedChannel channel =
        Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create()).build();
    try {
      run(new Client(channel), args);
    } finally {
      channel.shutdownNow();
    }
  }

  private static void run(Client client, String[] args) throws Exception {
    String command = args[1];
    String topic = args[2];
    if (command.equals("tour") && args.length == 3) {
      new Tour(client, topic).run();
    } else if (command.equals("write") && args.length == 5) {
      Transfer.write(client, topic, Form.valueOf(args[3].toUpperCase()), args[4]);
    } else if (command.equals("read") && args.length == 5) {
      Transfer.read(client, topic, Form.valueOf(args[3].toUpperCase()), args[4]);
    } else {
      exitWithUsage();
    }
  }

  private static void exitWithUsage() {
    System.err.println(USAGE);
    System.exit(1);
  }
}
