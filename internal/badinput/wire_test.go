package badinput

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// wire is a bare HTTP/2 connection to a broker: nothing keeps it from breaking the rules.
// One goroutine reads, one writes.
type wire struct {
	net.Conn
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer // of the headers that are being encoded
}

// dialWire connects, greets, and waits until the broker has said how much it takes.
func dialWire(t *testing.T, addr string) *wire {
	t.Helper()
	w := &wire{Conn: dialTCP(t, addr)}
	w.Framer = http2.NewFramer(w.Conn, w.Conn)
	w.ReadMetaHeaders = hpack.NewDecoder(4_096, nil)
	w.encoder = hpack.NewEncoder(&w.block)
	if _, err := io.WriteString(w.Conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for settings, window := false, false; !settings || !window; {
		f, err := w.ReadFrame()
		if err != nil {
			t.Fatalf("greet: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			settings = true
			if f.IsAck() {
				break
			}
			if err := w.WriteSettingsAck(); err != nil {
				t.Fatal(err)
			}
		case *http2.WindowUpdateFrame:
			window = true
		}
	}
	return w
}

// dialTCP connects; whatever the connection waits for comes within the limit.
func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	return c
}

// begin opens a call; fields come after those of every call, or instead of those of the same
// name.
func (w *wire) begin(stream uint32, end bool, fields ...hpack.HeaderField) error {
	w.block.Reset()
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: produceCall},
		{Name: ":authority", Value: "localhost"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	} {
		if len(fields) > 0 && fields[0].Name == f.Name {
			f, fields = fields[0], fields[1:]
		}
		w.encoder.WriteField(f) // a bytes.Buffer takes all
	}
	for _, f := range fields {
		w.encoder.WriteField(f)
	}
	first := w.block.Next(maxFrame)
	err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: w.block.Len() == 0})
	for err == nil && w.block.Len() > 0 {
		next := w.block.Next(maxFrame)
		err = w.WriteContinuation(stream, w.block.Len() == 0, next)
	}
	return err
}

// maxFrame is the longest frame that brokers take.
const maxFrame = 16 << 10

// send sends data, which must fit into the window of the broker.
func (w *wire) send(stream uint32, data []byte) error {
	for len(data) > maxFrame {
		if err := w.WriteData(stream, false, data[:maxFrame]); err != nil {
			return err
		}
		data = data[maxFrame:]
	}
	return w.WriteData(stream, false, data)
}

// ending is how a call or its connection ended.
type ending struct {
	http   string // :status
	grpc   string // grpc-status
	reset  *http2.ErrCode
	goAway *http2.ErrCode
	closed bool // without a word about the call
}

func (e ending) String() string {
	switch {
	case e.http != "" && e.http != "200":
		return "HTTP status " + e.http
	case e.grpc != "":
		code, _ := strconv.Atoi(e.grpc)
		return fmt.Sprint(codes.Code(code))
	case e.reset != nil:
		return fmt.Sprintf("reset, %v", *e.reset)
	case e.goAway != nil:
		return fmt.Sprintf("connection ended, %v", *e.goAway)
	case e.closed:
		return "connection closed"
	}
	return "none"
}

// await reads until the call or the connection ends.
func (w *wire) await(t *testing.T) (e ending) {
	t.Helper()
	for {
		f, err := w.ReadFrame()
		if err != nil {
			e.closed = true
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("neither the call nor the connection ends")
			}
			return e
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				switch h.Name {
				case ":status":
					e.http = h.Value
				case "grpc-status":
					e.grpc = h.Value
				}
			}
			if f.StreamEnded() {
				return e
			}
		case *http2.RSTStreamFrame:
			e.reset = &f.ErrCode
			return e
		case *http2.GoAwayFrame:
			e.goAway = &f.ErrCode
			return e
		}
	}
}

// awaitClose reads until the broker has closed the connection.
func awaitClose(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection stays open")
	}
}

var gzipped = hpack.HeaderField{Name: "grpc-encoding", Value: "gzip"}

// prefixed is a message as gRPC frames it.
func prefixed(flag byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message))), message...)
}

// onWire is the case of a Produce that sends data and no end, which must end with a code.
func onWire(row, name string, code codes.Code, data func() []byte, fields ...hpack.HeaderField) testCase {
	return testCase{row, name, func(t *testing.T, b *broker) {
		data := data()
		w := dialWire(t, b.Addr())
		defer w.Conn.Close()
		defer b.time(t)()
		if err := errors.Join(w.begin(1, false, fields...), w.send(1, data)); err != nil {
			t.Fatal(err)
		}
		if end := w.await(t); end.String() != code.String() {
			t.Errorf("ended with %v, want %v", end, code)
		}
	}}
}
