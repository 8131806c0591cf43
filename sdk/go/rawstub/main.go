// Command rawstub talks to a broker with the generated stubs and nothing else: what it
// does is all that a client needs. The same program stands in Java and in Python beside
// it, step for step; take from it what you need.
//
//	rawstub ADDRESS tour TOPIC              every call once, told on standard output
//	rawstub ADDRESS write TOPIC FORM FILE   FILE, a serialized RecordSet, into a new topic
//	rawstub ADDRESS read TOPIC FORM FILE    partition 0 of a topic into FILE
//	rawstub open BATCH FILE                 what is in a serialized RecordBatch into FILE
//
// FORM is how records travel: "records", packed by the broker; "batches", packed here,
// and, compressed, "gzip" and "zstd"; or on a "stream" each way.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// runTimeout bounds a whole run; each call has the deadline of its context.
const runTimeout = time.Minute

var errUsage = errors.New(`usage: rawstub ADDRESS tour TOPIC
       rawstub ADDRESS write TOPIC FORM FILE
       rawstub ADDRESS read TOPIC FORM FILE
       rawstub open BATCH FILE
FORM is one of records, batches, gzip, zstd, stream`)

// client has a stub for each service; all share one connection.
type client struct {
	topics  almadiav1.TopicServiceClient
	produce almadiav1.ProduceServiceClient
	fetch   almadiav1.FetchServiceClient
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errUsage
	}
	if args[0] == "open" && len(args) == 3 {
		return openFile(args[1], args[2])
	}
	conn, err := grpc.NewClient(args[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := &client{
		topics:  almadiav1.NewTopicServiceClient(conn),
		produce: almadiav1.NewProduceServiceClient(conn),
		fetch:   almadiav1.NewFetchServiceClient(conn),
	}
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	topic := args[2]
	switch {
	case args[1] == "tour" && len(args) == 3:
		return c.tour(ctx, topic)
	case args[1] == "write" && len(args) == 5 && isForm(args[3]):
		return c.write(ctx, topic, args[3], args[4])
	case args[1] == "read" && len(args) == 5 && isForm(args[3]):
		return c.read(ctx, topic, args[3], args[4])
	}
	return errUsage
}
