package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// defaultLayout is for eyes; scripts name their own.
const defaultLayout = `%p:%o\t%k\t%v\n`

type consumeFlags struct {
	offset     string
	partitions []int32
	count      int64
	format     string
	grep       string
	untilEnd   bool
	metaOnly   bool
}

func consumeCommand(g *globals) *cobra.Command {
	return readCommand(g, "end", &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Print records, as they arrive or from a place on",
		Example: `  almadia consume orders
  almadia consume orders -o start -n 1 -f '%v\n'
  almadia consume orders -o @-1h --until-end -f '%d{go[15:04:05]} %k %v\n'`,
	})
}

func tailCommand(g *globals) *cobra.Command {
	return readCommand(g, "-10", &cobra.Command{
		Use:   "tail TOPIC...",
		Short: "Print the last ten records of each partition, then what arrives",
		Example: `  almadia tail orders
  almadia tail orders -p 0 -f '%o %v\n'`,
	})
}

func readCommand(g *globals, offset string, c *cobra.Command) *cobra.Command {
	var f consumeFlags
	c.Args = cobra.MinimumNArgs(1)
	c.RunE = g.dialed(func(c *cobra.Command, topics []string, conn *grpc.ClientConn) error {
		return consume(g, c, &f, topics, conn)
	})
	c.Flags().StringVarP(&f.offset, "offset", "o", offset, "where to begin: start, end, 42, -10 (last ten), @-1h, @2026-11-01T00:00:00Z, or a range a:b")
	c.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "only these partitions")
	c.Flags().Int64VarP(&f.count, "count", "n", 0, "end after so many records; 0: no end")
	c.Flags().StringVarP(&f.format, "format", "f", defaultLayout, `layout of the output: %t %p %o %k %v %h %d{go[15:04:05]}, \n \t \0; or json`)
	c.Flags().StringVar(&f.grep, "grep", "", "only records whose key or value matches this expression")
	c.Flags().BoolVar(&f.untilEnd, "until-end", false, "end at what is the end of the log now")
	c.Flags().BoolVar(&f.metaOnly, "meta-only", false, "leave the values out")
	return c
}

func consume(g *globals, c *cobra.Command, f *consumeFlags, topics []string, conn *grpc.ClientConn) error {
	r, err := newReader(c, f)
	if err != nil {
		return usage(c, err)
	}
	at, err := parsePlace(f.offset, time.Now())
	if err != nil {
		return usage(c, err)
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	stream, err := r.open(ctx, g, c, conn, at, topics)
	if err != nil {
		return err
	}
	err = r.run(stream)
	if e := r.out.Flush(); err == nil {
		err = e
	}
	interrupted := c.Context().Err() != nil
	if interrupted || isTerminal(c.OutOrStdout()) {
		fmt.Fprintf(c.ErrOrStderr(), "read: %d\n", r.read)
	}
	if interrupted {
		return nil
	}
	return err
}

// isTerminal tells a person's screen from a pipe or file.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// A reader prints what a Tail stream brings.
type reader struct {
	out      *bufio.Writer
	print    func(dst []byte, s shown) ([]byte, error)
	match    *regexp.Regexp
	flags    *consumeFlags
	until    *int64
	partsEnd map[string]bool // partitions of a range that are done
	parts    int             // how many partitions a range has
	warn     io.Writer
	read     int64
	buf      []byte
}

func newReader(c *cobra.Command, f *consumeFlags) (*reader, error) {
	r := &reader{out: bufio.NewWriterSize(c.OutOrStdout(), 1<<16), warn: c.ErrOrStderr(), flags: f, partsEnd: map[string]bool{}}
	if f.count < 0 {
		return nil, errors.New("count must not be negative")
	}
	if f.grep != "" {
		match, err := regexp.Compile(f.grep)
		if err != nil {
			return nil, err
		}
		r.match = match
	}
	if f.format == "json" {
		r.print = printJSON
		return r, nil
	}
	l, err := parseLayout(f.format)
	if err != nil {
		return nil, err
	}
	r.print = func(dst []byte, s shown) ([]byte, error) { return l.write(dst, s), nil }
	return r, nil
}

// open starts the stream that fits the flags.
func (r *reader) open(ctx context.Context, g *globals, c *cobra.Command, conn *grpc.ClientConn, at place, topics []string) (grpc.ServerStreamingClient[almadiav1.TailResponse], error) {
	req := &almadiav1.TailRequest{
		Start:    at.from,
		Options:  &almadiav1.ReadOptions{MaxBytes: maxMessageBytes - 1<<20},
		UntilEnd: r.flags.untilEnd,
		Topics:   topics,
	}
	r.until = at.until
	if r.match == nil && r.until == nil {
		req.MaxRecords = r.flags.count // else it is what is printed that counts
	}
	if len(r.flags.partitions) > 0 || r.until != nil {
		req.Topics = nil
		for _, topic := range topics {
			partitions := r.flags.partitions
			if len(partitions) == 0 {
				t, err := describe(g, c, almadiav1.NewTopicServiceClient(conn), topic)
				if err != nil {
					return nil, err
				}
				for p := range t.PartitionCount {
					partitions = append(partitions, p)
				}
			}
			for _, p := range partitions {
				req.Partitions = append(req.Partitions, &almadiav1.PartitionPosition{Topic: topic, Partition: &p})
			}
		}
		r.parts = len(req.Partitions)
	}
	return almadiav1.NewFetchServiceClient(conn).Tail(ctx, req)
}

// errDone ends the reading of a stream that would go on.
var errDone = errors.New("done")

func (r *reader) run(stream grpc.ServerStreamingClient[almadiav1.TailResponse]) error {
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return interpretTail(err)
		}
		for _, part := range resp.Partitions {
			if err := r.take(part); err == errDone {
				return nil
			} else if err != nil {
				return err
			}
		}
		if err := r.out.Flush(); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
}

// interpretTail says what became of a stream that ended early.
func interpretTail(err error) error {
	st := status.Convert(err)
	if st.Code() != codes.Unavailable {
		return err
	}
	what := "the connection to the broker is lost: " + st.Message()
	if d := detailOf(st); d != nil {
		what = "the broker ended the stream: " + d.Message
	}
	return &failure{what: what, fix: "start again from the last offset printed", exit: exitFailed}
}

func (r *reader) take(part *almadiav1.PartitionRecords) error {
	if part.Error != nil { // of a batch that is passed by
		fmt.Fprintf(r.warn, "warning: %s\n", part.Error.Message)
	}
	for _, rec := range part.Records {
		if r.until != nil && rec.GetOffset() >= *r.until {
			break
		}
		if r.match != nil && !r.match.Match(rec.Key) && !r.match.Match(rec.Value) {
			continue
		}
		if r.flags.metaOnly {
			rec.Value = nil
		}
		var err error
		if r.buf, err = r.print(r.buf[:0], shown{topic: part.Topic, partition: part.GetPartition(), record: rec}); err != nil {
			return err
		}
		if _, err := r.out.Write(r.buf); err != nil {
			return fmt.Errorf("output: %w", err)
		}
		if r.read++; r.read == r.flags.count {
			return errDone
		}
	}
	return r.ranged(part)
}

// ranged ends the reading of a range once every partition has reached its end.
func (r *reader) ranged(part *almadiav1.PartitionRecords) error {
	if r.until == nil || part.GetNextOffset() < *r.until {
		return nil
	}
	r.partsEnd[fmt.Sprint(part.Topic, "/", part.GetPartition())] = true
	if len(r.partsEnd) == r.parts {
		return errDone
	}
	return nil
}

// printed is the JSON of a record: text where the bytes are text, else base64.
type printed struct {
	Offset    int64           `json:"offset"`
	Timestamp string          `json:"timestamp"` // a time.Time is refused beyond the year 9999
	Key       *string         `json:"key,omitempty"`
	KeyBytes  []byte          `json:"key_base64,omitempty"`
	Value     *string         `json:"value,omitempty"`
	ValBytes  []byte          `json:"value_base64,omitempty"`
	Headers   []printedHeader `json:"headers,omitempty"`
}

type printedHeader struct {
	Key      string  `json:"key"`
	Value    *string `json:"value,omitempty"`
	ValBytes []byte  `json:"value_base64,omitempty"`
}

func printJSON(dst []byte, s shown) ([]byte, error) {
	line, err := json.Marshal(struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		printed
	}{s.topic, s.partition, printedRecord(s.record)})
	if err != nil {
		return nil, err
	}
	return append(append(dst, line...), '\n'), nil
}

func printedRecord(r *almadiav1.LogRecord) printed {
	p := printed{Offset: r.GetOffset(), Timestamp: formatMillis(r.TimestampMs)}
	p.Key, p.KeyBytes = textOr(r.Key)
	p.Value, p.ValBytes = textOr(r.Value)
	for _, h := range r.Headers {
		ph := printedHeader{Key: h.Key}
		ph.Value, ph.ValBytes = textOr(h.Value)
		p.Headers = append(p.Headers, ph)
	}
	return p
}

// keyOf is the key again as bytes.
func (p printed) keyOf() []byte { return bytesOf(p.Key, p.KeyBytes) }

// valueOf is the value again as bytes.
func (p printed) valueOf() []byte { return bytesOf(p.Value, p.ValBytes) }

func bytesOf(text *string, b []byte) []byte {
	if text != nil {
		return []byte(*text)
	}
	return b
}
