package badinput

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Bounds of the page on connections.
const (
	maxStreams    = 1_024
	handshakeTime = 10 * time.Second
)

// connectionCases are connections against the rules.
func connectionCases() []testCase {
	field := func(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }
	long := strings.Repeat("x", 6<<10)
	return []testCase{
		{"streams", "100,000 calls that stay open", manyStreams},
		{"resets", "10,000 calls, each cancelled at once", rapidResets},

		{"header-floods", "18 KiB in three fields", calls("reset, FRAME_SIZE_ERROR", field("x", long), field("y", long), field("z", long))},
		{"header-floods", "18 KiB in one field", calls("connection closed", field("x", long+long+long))},
		{"header-floods", "10,000 fields", calls("connection closed", fieldsOf(10_000)...)},
		{"header-floods", "headers without end", endlessHeaders},
		{"header-floods", "pings", flood(func(w *wire) error { return w.WritePing(false, [8]byte{}) })},
		{"header-floods", "settings", flood(func(w *wire) error {
			return w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16})
		})},

		{"slow-connections", "nothing, and half a greeting", func(t *testing.T, b *broker) { b.slow.closed(t) }},

		{"wrong-protocol", "HTTP/1.1", greets("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", answerLimit)},
		{"wrong-protocol", "HTTP/1.1 with a body", greets("POST "+produceCall+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", answerLimit)},
		{"wrong-protocol", "noise", greets(strings.Repeat("\x00\xff", 1_000), answerLimit)},
		{"wrong-protocol", "a greeting, then noise", greets(http2.ClientPreface+strings.Repeat("\x00\xff", 1_000), answerLimit)},
		{"wrong-protocol", "a greeting, then a frame of 16 MiB", greets(http2.ClientPreface+"\xff\xff\xff\x04\x00\x00\x00\x00\x00", answerLimit)},
		{"wrong-protocol", "TLS", speaksTLS},
		{"wrong-protocol", "a path without slash", calls("Unimplemented", field(":path", produceCall[1:]))},
		{"wrong-protocol", "an empty path", calls("Unimplemented", field(":path", ""))},
		{"wrong-protocol", "a path of slashes", calls("Unimplemented", field(":path", "//////"))},
		{"wrong-protocol", "a path up the tree", calls("Unimplemented", field(":path", "/../../"+produceCall))},
		{"wrong-protocol", "a method that does not exist", calls("Unimplemented", field(":path", "/almadia.v1.ProduceService/Nope"))},
		{"wrong-protocol", "GET", calls("HTTP status 405", field(":method", "GET"))},
		{"wrong-protocol", "another content type", calls("HTTP status 415", field("content-type", "text/html"))},
		{"wrong-protocol", "data of a call that was never made", breaks(func(w *wire) error { return w.WriteData(99, false, []byte("x")) })},
		{"wrong-protocol", "data of no call", breaks(func(w *wire) error { return w.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) })},
		{"wrong-protocol", "a call of an even number", breaks(func(w *wire) error { return w.begin(2, false) })},
		{"wrong-protocol", "a window beyond all bounds", breaks(func(w *wire) error {
			return errors.Join(w.begin(1, false), w.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, []byte{0x7f, 0xff, 0xff, 0xff}), w.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 0}))
		})},
	}
}

func fieldsOf(n int) []hpack.HeaderField {
	list := make([]hpack.HeaderField, n)
	for i := range list {
		list[i] = hpack.HeaderField{Name: fmt.Sprint("x", i), Value: "y"}
	}
	return list
}

// calls is the case of a call with these headers and no message, which must end so.
func calls(want string, fields ...hpack.HeaderField) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		w := dialWire(t, b.Addr())
		defer w.Conn.Close()
		defer b.time(t)()
		_ = w.begin(1, true, fields...) // it may be closed before all is sent
		if end := w.await(t); end.String() != want {
			t.Errorf("ended with %v, want %v", end, want)
		}
	}
}

// greets is the case of a connection that begins with these bytes, and must be closed in time.
func greets(bytes string, within time.Duration) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		c := dialTCP(t, b.Addr())
		defer c.Close()
		began := time.Now()
		_, _ = io.WriteString(c, bytes) // it may be closed by then
		awaitClose(t, c)
		if took := time.Since(began); took > within {
			t.Errorf("closed after %v, want %v", took, within)
		}
	}
}

// speaksTLS is the client that thinks the port is one for TLS.
func speaksTLS(t *testing.T, b *broker) {
	defer b.time(t)()
	c := tls.Client(dialTCP(t, b.Addr()), &tls.Config{InsecureSkipVerify: true})
	defer c.Close()
	if err := c.Handshake(); err == nil {
		t.Error("the broker speaks TLS")
	} else if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection stays open")
	}
}

// breaks is the case of a frame that breaks the rules: the call or the connection is ended,
// and if the rules let it pass, a later call on it is served as if nothing had been.
func breaks(frame func(*wire) error) func(*testing.T, *broker) {
	return func(t *testing.T, b *broker) {
		w := dialWire(t, b.Addr())
		defer w.Conn.Close()
		defer b.time(t)()
		if err := errors.Join(frame(w), w.begin(101, true)); err != nil {
			return // closed already
		}
		if end := w.await(t); end.String() == "none" {
			t.Error("nothing ended")
		}
	}
}

// manyStreams opens 100,000 calls on a connection, of which none ends by itself. Those above
// the limit are refused; meanwhile others are served.
func manyStreams(t *testing.T, b *broker) {
	const calls = 100_000
	w := dialWire(t, b.Addr())
	defer w.Conn.Close()
	written := make(chan error, 1)
	go func() {
		var err error
		for i := range uint32(calls) {
			if err = w.begin(2*i+1, false); err != nil {
				break
			}
		}
		written <- err
	}()
	refused := 0
	for refused < calls-maxStreams {
		f, err := w.ReadFrame()
		if err != nil {
			t.Fatalf("after %d calls were refused: %v", refused, err)
		}
		if f, ok := f.(*http2.RSTStreamFrame); ok {
			if f.ErrCode != http2.ErrCodeRefusedStream {
				t.Fatalf("a call ended with %v", f.ErrCode)
			}
			if refused++; refused%10_000 == 0 {
				b.lives(t)
			}
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if refused != calls-maxStreams {
		t.Errorf("%d calls were refused, want %d", refused, calls-maxStreams)
	}
}

// rapidResets cancels calls as fast as it makes them. None of them counts against the limit
// of the connection for long: one more is served.
func rapidResets(t *testing.T, b *broker) {
	const calls = 10_000
	w := dialWire(t, b.Addr())
	defer w.Conn.Close()
	written := make(chan error, 1)
	go func() {
		var err error
		for i := range uint32(calls) {
			if err = errors.Join(w.begin(2*i+1, false), w.WriteRSTStream(2*i+1, http2.ErrCodeCancel)); err != nil {
				break
			}
		}
		written <- errors.Join(err, w.begin(2*calls+1, true, hpack.HeaderField{Name: ":path", Value: "/none"}))
	}()
	b.lives(t)
	if end := w.await(t); end.String() != "Unimplemented" {
		t.Errorf("a call after them ended with %v", end)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// endlessHeaders continues the headers of a call for ever.
func endlessHeaders(t *testing.T, b *broker) {
	const most = 64 << 20 // bytes, until the case gives up
	w := dialWire(t, b.Addr())
	defer w.Conn.Close()
	defer b.time(t)()
	go func() {
		w.block.Reset()
		w.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("x", 8_000), Sensitive: true})
		err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.block.Bytes()})
		for sent := 0; err == nil && sent < most; sent += w.block.Len() {
			err = w.WriteContinuation(1, false, w.block.Bytes())
		}
	}()
	awaitClose(t, w.Conn)
}

// flood sends frames that each want an answer, and never reads one. The connection is ended,
// or the broker stops reading it: what it owes stays bounded.
func flood(frame func(*wire) error) func(*testing.T, *broker) {
	const patience = 3 * time.Second
	return func(t *testing.T, b *broker) {
		w := dialWire(t, b.Addr())
		defer w.Conn.Close()
		w.Conn.SetWriteDeadline(time.Now().Add(answerLimit))
		for began := time.Now(); time.Since(began) < patience; {
			if err := frame(w); err != nil {
				return
			}
		}
		t.Error("the broker takes any number of them")
	}
}

// slowConnections are connections that never get past the greeting.
type slowConnections struct {
	began time.Time
	conns []net.Conn
	calls chan error // how a Consume ended on which nothing was said
}

// connectSlowly connects, says nothing or little, and leaves it at that. So the time for a
// greeting passes during the other cases.
func (b *broker) connectSlowly(t *testing.T) *slowConnections {
	t.Helper()
	s := &slowConnections{began: time.Now(), calls: make(chan error, 1)}
	for _, greeting := range []string{"", "PRI * HT", http2.ClientPreface} {
		c := dialTCP(t, b.Addr())
		if _, err := io.WriteString(c, greeting); err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, c)
	}
	stream, err := almadiav1.NewFetchServiceClient(b.other).Consume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := stream.Recv()
		s.calls <- err
	}()
	return s
}

// closed checks that the connections are closed once the time for a greeting is over.
func (s *slowConnections) closed(t *testing.T) {
	deadline := s.began.Add(handshakeTime + 2*time.Second)
	if soon := time.Now().Add(answerLimit); deadline.Before(soon) {
		deadline = soon
	}
	for _, c := range s.conns {
		c.SetDeadline(deadline)
		awaitClose(t, c)
	}
	select {
	case err := <-s.calls:
		refused(t, err, invalid, "field", "init")
	case <-time.After(time.Until(deadline)):
		t.Error("the call stays open")
	}
}
