package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Bounds of one request of produce. The reader fills the next one while the last is
// on its way, so a slow input is sent at once and a fast one in full requests.
const (
	requestBytes   = 512 << 10
	requestRecords = 20_000
	// retryPause lies between tries of what was certainly not written.
	retryPause = 200 * time.Millisecond
)

type produceFlags struct {
	partition int32
	key       string
	headers   []string
	format    string
	report    string
	codec     string
}

func produceCommand(g *globals) *cobra.Command {
	var f produceFlags
	c := &cobra.Command{
		Use:   "produce TOPIC [VALUE...]",
		Short: "Write records: the values given, or the lines of the standard input",
		Example: `  almadia produce orders hello
  almadia produce orders < lines.txt
  almadia produce orders -f '%k\t%v\n' < keyed.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: g.dialed(func(c *cobra.Command, args []string, conn *grpc.ClientConn) error {
			return produce(g, c, &f, args[0], args[1:], conn)
		}),
	}
	c.Flags().Int32VarP(&f.partition, "partition", "p", -1, "partition; -1 lets the broker choose, by key if there is one")
	c.Flags().StringVarP(&f.key, "key", "k", "", "key of every record")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "header of every record, as name=value; may be repeated")
	c.Flags().StringVarP(&f.format, "format", "f", `%v\n`, `layout of the input: %k, %v, and what stands between, \n \t \0`)
	c.Flags().StringVarP(&f.codec, "compress", "z", "none", "codec of what is sent: none, gzip, snappy, lz4 or zstd")
	c.Flags().StringVar(&f.report, "report", "", "file to write a line to for each acknowledged record: input line, partition, offset")
	return c
}

func produce(g *globals, c *cobra.Command, f *produceFlags, topic string, values []string, conn *grpc.ClientConn) error {
	source, err := newSource(c, f, values)
	if err != nil {
		return usage(c, err)
	}
	codec, ok := batch.CodecNamed(f.codec)
	if !ok {
		return usage(c, fmt.Errorf("compress: there is no codec %q", f.codec))
	}
	report, err := openReport(f.report)
	if err != nil {
		return err
	}
	p := &producer{
		g: g, client: almadiav1.NewProduceServiceClient(conn), topic: topic, report: report, codec: codec,
	}
	if f.partition >= 0 {
		p.partition = &f.partition
	} else if c.Flags().Changed("partition") {
		return usage(c, errors.New("partition must not be negative"))
	}
	if p.codec != batch.None && p.partition == nil {
		if p.partitions, err = partitionsOf(g, c, conn, topic); err != nil {
			return err
		}
	}
	err = p.run(c.Context(), source)
	if e := report.close(); err == nil {
		err = e
	}
	if p.acked > 0 || err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "acknowledged: %d\n", p.acked)
	}
	return err
}

// newSource gives a function that returns one record after the other, io.EOF at the end.
func newSource(c *cobra.Command, f *produceFlags, values []string) (func() (*almadiav1.LogRecord, error), error) {
	var headers []*almadiav1.Header
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			return nil, fmt.Errorf("header %q is not name=value", h)
		}
		headers = append(headers, &almadiav1.Header{Key: name, Value: []byte(value)})
	}
	dress := func(r *almadiav1.LogRecord) *almadiav1.LogRecord {
		if c.Flags().Changed("key") {
			r.Key = []byte(f.key)
		}
		r.Headers = headers
		return r
	}
	if len(values) > 0 {
		if c.Flags().Changed("format") {
			return nil, errors.New("format is the layout of the standard input; it does not go with values")
		}
		return func() (*almadiav1.LogRecord, error) {
			if len(values) == 0 {
				return nil, io.EOF
			}
			r := &almadiav1.LogRecord{Value: []byte(values[0])}
			values = values[1:]
			return dress(r), nil
		}, nil
	}
	l, err := parseLayout(f.format)
	if err != nil {
		return nil, err
	}
	if c.Flags().Changed("key") && slices.ContainsFunc(l, func(p piece) bool { return p.field == 'k' }) {
		return nil, errors.New("key is given both by --key and by %k in the format")
	}
	p, err := newParser(c.InOrStdin(), l)
	if err != nil {
		return nil, err
	}
	return func() (*almadiav1.LogRecord, error) {
		r, err := p.next()
		if err != nil {
			return nil, err
		}
		return dress(r), nil
	}, nil
}

// A load is the records of one request, in input order.
type load struct {
	records   []*almadiav1.LogRecord
	lines     []int64
	bytes     int
	partition *int32 // nil: the broker chooses
	end       error  // why the input ends behind it; nil while it goes on
}

func (l *load) full() bool {
	return l.bytes >= requestBytes || len(l.records) >= requestRecords
}

// producer sends loads one after the other: what a key sent first is written first.
type producer struct {
	g      *globals
	client interface {
		Produce(context.Context, *almadiav1.ProduceRequest, ...grpc.CallOption) (*almadiav1.ProduceResponse, error)
	}
	topic     string
	partition *int32
	report    *report
	acked     int64

	codec      batch.Codec
	partitions int32 // of the topic, where this command chooses among them
	turn       int32 // the one for records without a key
}

// run reads and sends until the input ends. Reading goes on while a request is under way.
func (p *producer) run(ctx context.Context, next func() (*almadiav1.LogRecord, error)) error {
	records := make(chan numbered, 4096)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go readAll(ctx, next, records)
	for {
		l := collect(ctx, records)
		for _, part := range p.apportion(l) {
			if err := p.send(ctx, part); err != nil {
				return err
			}
		}
		if l.end == io.EOF {
			return nil
		}
		if l.end != nil {
			return l.end
		}
	}
}

type numbered struct {
	record *almadiav1.LogRecord
	line   int64
	end    error
}

func readAll(ctx context.Context, next func() (*almadiav1.LogRecord, error), to chan<- numbered) {
	for line := int64(1); ; line++ {
		r, err := next()
		select {
		case to <- numbered{record: r, line: line, end: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// collect waits for a record and takes what else is there already.
func collect(ctx context.Context, records <-chan numbered) load {
	var l load
	for !l.full() {
		var n numbered
		if len(l.records) == 0 {
			select {
			case n = <-records:
			case <-ctx.Done():
				l.end = ctx.Err()
				return l
			}
		} else {
			select {
			case n = <-records:
			default:
				return l
			}
		}
		if n.end != nil {
			l.end = n.end
			return l
		}
		l.records = append(l.records, n.record)
		l.lines = append(l.lines, n.line)
		l.bytes += proto.Size(n.record)
	}
	return l
}

// send writes one load. What the broker says was certainly not written is sent again
// until --timeout has passed; everything else ends the command.
func (p *producer) send(ctx context.Context, l load) error {
	call, cancel := p.g.call(ctx)
	defer cancel()
	for {
		req, err := p.request(l)
		if err != nil {
			return p.lost(l, err)
		}
		resp, err := p.client.Produce(call, req)
		if err == nil {
			return p.acknowledge(l, resp.Results)
		}
		if len(l.records) > 1 && tooMuch(status.Convert(err)) {
			return p.sendHalves(ctx, l)
		}
		failed := failureOf(status.Convert(err))
		written := told(failed)
		if e := p.acknowledge(l, written); e != nil {
			return e
		}
		l = l.without(written)
		if !notWritten(status.Convert(err), failed) || !pause(call, retryPause) {
			return p.lost(l, err)
		}
	}
}

// tooMuch tells whether the records are more than a batch of the topic may have. How many
// that are, and in which partitions they meet, only the broker knows.
func tooMuch(st *status.Status) bool {
	return detailOf(st).GetReason() == almadiav1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE
}

// sendHalves sends a load of several records as two.
func (p *producer) sendHalves(ctx context.Context, l load) error {
	half := len(l.records) / 2
	if err := p.send(ctx, load{records: l.records[:half], lines: l.lines[:half], partition: l.partition}); err != nil {
		return err
	}
	return p.send(ctx, load{records: l.records[half:], lines: l.lines[half:], partition: l.partition})
}

// told is what a failure says was written. Where the list of records is cut short, nobody
// can tell which they were.
func told(failed *almadiav1.ProduceFailure) (written []*almadiav1.ProduceResult) {
	for _, r := range failed.GetWritten() {
		if len(r.RecordIndexes) == int(r.RecordCount) {
			written = append(written, r)
		}
	}
	return written
}

// notWritten tells whether the records without an acknowledgement certainly were not
// written, and may be at another try. A transport's own error leaves it open.
func notWritten(st *status.Status, failed *almadiav1.ProduceFailure) bool {
	if failed == nil {
		d := detailOf(st)
		return d.GetRetryable() && st.Code() != codes.Aborted
	}
	if failed.Truncated {
		return false
	}
	for _, f := range failed.Failed {
		if !f.Error.GetRetryable() || f.Error.GetReason() == almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN {
			return false
		}
	}
	return true
}

// lost says which lines have no acknowledgement.
func (p *producer) lost(l load, err error) error {
	if len(l.lines) == 0 {
		return err
	}
	f := *explain(err)
	f.what = fmt.Sprintf("%s\n  input lines %d to %d are not acknowledged", f.what, l.lines[0], l.lines[len(l.lines)-1])
	return &f
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// acknowledge notes where the records of a load went.
func (p *producer) acknowledge(l load, results []*almadiav1.ProduceResult) error {
	if len(results) == 0 {
		return nil
	}
	for _, r := range results {
		for i := range r.RecordCount {
			at := i
			if len(r.RecordIndexes) > 0 {
				at = r.RecordIndexes[i]
			}
			p.report.add(l.lines[at], r.GetPartition(), r.GetBaseOffset()+int64(i))
		}
		p.acked += int64(r.RecordCount)
	}
	return p.report.flush()
}

// without leaves out what was written.
func (l load) without(written []*almadiav1.ProduceResult) load {
	gone := make(map[int32]bool)
	for _, r := range written {
		for _, i := range r.RecordIndexes {
			gone[i] = true
		}
	}
	rest := load{partition: l.partition, end: l.end}
	for i, r := range l.records {
		if !gone[int32(i)] {
			rest.records = append(rest.records, r)
			rest.lines = append(rest.lines, l.lines[i])
		}
	}
	return rest
}

// failureOf is the broker's account of a request written in part, nil if there is none.
func failureOf(st *status.Status) *almadiav1.ProduceFailure {
	for _, d := range st.Details() {
		if f, ok := d.(*almadiav1.ProduceFailure); ok {
			return f
		}
	}
	return nil
}

// A report is a file with one line per acknowledged record: input line, partition and
// offset, tab-separated, written out with each acknowledgement.
type report struct {
	file *os.File
	w    *bufio.Writer
	line []byte
}

func openReport(name string) (*report, error) {
	if name == "" {
		return &report{}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &report{file: f, w: bufio.NewWriterSize(f, 1<<16)}, nil
}

func (r *report) add(line int64, partition int32, offset int64) {
	if r.w == nil {
		return
	}
	b := strconv.AppendInt(r.line[:0], line, 10)
	b = strconv.AppendInt(append(b, '\t'), int64(partition), 10)
	b = strconv.AppendInt(append(b, '\t'), offset, 10)
	r.line = append(b, '\n')
	r.w.Write(r.line) // the error stays in the writer until flush
}

func (r *report) flush() error {
	if r.w == nil {
		return nil
	}
	if err := r.w.Flush(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (r *report) close() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.flush(), r.file.Close())
}
