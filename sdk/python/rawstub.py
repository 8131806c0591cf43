"""Talks to a broker with the generated stubs and nothing else.

What it does is all that a client needs. The same program stands in Go and in Java
beside it, step for step; take from it what you need.

    rawstub.py ADDRESS tour TOPIC              every call once, told on standard output
    rawstub.py ADDRESS write TOPIC FORM FILE   FILE, a serialized RecordSet, into a new topic
    rawstub.py ADDRESS read TOPIC FORM FILE    partition 0 of a topic into FILE
    rawstub.py open BATCH FILE                 what is in a serialized RecordBatch into FILE

FORM is how records travel: "records", packed by the broker; "batches", packed here,
and, compressed, "gzip" and "zstd"; or on a "stream" each way.
"""

import sys

import grpc
from almadia.v1.fetch_service_pb2_grpc import FetchServiceStub
from almadia.v1.produce_service_pb2_grpc import ProduceServiceStub
from almadia.v1.topic_service_pb2_grpc import TopicServiceStub

from tour import tour
from transfer import FORMS, open_batch, read, write


class Client:
    """A stub for each service; all share one connection."""

    def __init__(self, channel):
        self.topics = TopicServiceStub(channel)
        self.produce = ProduceServiceStub(channel)
        self.fetch = FetchServiceStub(channel)


def main(address, command, *args):
    if address == "open" and len(args) == 1:
        return open_batch(command, *args)
    with grpc.insecure_channel(address) as channel:
        client = Client(channel)
        if command == "tour" and len(args) == 1:
            tour(client, *args)
        elif command == "write" and len(args) == 3 and args[1] in FORMS:
            write(client, *args)
        elif command == "read" and len(args) == 3 and args[1] in FORMS:
            read(client, *args)
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
