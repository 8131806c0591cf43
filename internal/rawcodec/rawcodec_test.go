package rawcodec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	echoMethod = "/test.Echo/Echo"
	chatMethod = "/test.Echo/Chat"
)

// echo is a service that answers with what it was sent, as the type that newMessage makes.
func echo(newMessage func() any) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				m := newMessage()
				return m, decode(m)
			},
		}},
		Streams: []grpc.StreamDesc{{
			StreamName:    "Chat",
			ServerStreams: true,
			ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error {
				for {
					m := newMessage()
					if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
						return nil
					} else if err != nil {
						return err
					}
					if err := s.SendMsg(m); err != nil {
						return err
					}
				}
			},
		}},
	}
}

func rawMessage() any   { return new(Frame) }
func stockMessage() any { return new(almadiav1.RecordSet) }

// connect serves the description on loopback and dials it.
func connect(t *testing.T, desc *grpc.ServiceDesc, dial ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(New()), grpc.MaxRecvMsgSize(32<<20))
	server.RegisterService(desc, nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	dial = append(dial,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	conn, err := grpc.NewClient(listener.Addr().String(), dial...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func records(size int) *almadiav1.RecordSet {
	return &almadiav1.RecordSet{Records: []*almadiav1.LogRecord{
		{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), size)},
		{Value: []byte{}},
	}}
}

// counted is an owner that counts its releases.
type counted struct {
	released atomic.Int32
	first    chan struct{} // closed by the first release
}

func newCounted() *counted { return &counted{first: make(chan struct{})} }

func (c *counted) Release() {
	if c.released.Add(1) == 1 {
		close(c.first)
	}
}

// wait waits for the release, which happens on a goroutine of gRPC.
func (c *counted) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.first:
	case <-time.After(5 * time.Second):
		t.Fatal("the owner was not released")
	}
	if n := c.released.Load(); n != 1 {
		t.Fatalf("the owner was released %d times", n)
	}
}

func TestBothEndsSpeakOrdinaryProtobuf(t *testing.T) {
	force := grpc.WithDefaultCallOptions(grpc.ForceCodecV2(New()))
	for name, c := range map[string]struct {
		server func() any
		dial   []grpc.DialOption
	}{
		"stock client, frames in the server":        {rawMessage, nil},
		"stock client, messages in the server":      {stockMessage, nil},
		"client with the codec, frames in server":   {rawMessage, []grpc.DialOption{force}},
		"client with the codec, messages in server": {stockMessage, []grpc.DialOption{force}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, echo(c.server), c.dial...)
			for _, size := range []int{0, 10, 5_000, 3 << 20} {
				want, got := records(size), new(almadiav1.RecordSet)
				if err := conn.Invoke(t.Context(), echoMethod, want, got); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(want, got) {
					t.Errorf("size %d: the answer differs", size)
				}
			}
		})
	}
}

func TestFramesGoThroughUnchanged(t *testing.T) {
	conn := connect(t, echo(rawMessage), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(New())))
	stream, err := conn.NewStream(t.Context(), &echo(nil).Streams[0], chatMethod)
	if err != nil {
		t.Fatal(err)
	}
	// One Frame for all messages, as a loop would use it; the bytes are no protobuf at all.
	var got Frame
	defer got.Free()
	for _, size := range []int{0, 1, 1_000, 1_024, 1_025, 100_000, 5 << 20, 7} {
		want := bytes.Repeat([]byte{0xff, 0x07}, (size+1)/2)[:size]
		owner := newCounted()
		var sent Frame
		sent.Add(want[:size/3])
		sent.AddOwned(want[size/3:], owner)
		if sent.Len() != size {
			t.Fatalf("a frame of %d bytes says %d", size, sent.Len())
		}
		if err := stream.SendMsg(&sent); err != nil {
			t.Fatal(err)
		}
		if sent.Len() != 0 {
			t.Error("a frame that was sent still holds its bytes")
		}
		sent.Free()
		if err := stream.RecvMsg(&got); err != nil {
			t.Fatal(err)
		}
		if got.Len() != size || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("size %d: the bytes changed", size)
		}
		owner.wait(t)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&got); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// Of a send that fails before the codec sees the frame, the frame keeps its bytes; of one
// that fails after, gRPC frees them. Free is right in both cases.
func TestAFailedSendLeaksNothing(t *testing.T) {
	conn := connect(t, echo(rawMessage), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(New()), grpc.MaxCallSendMsgSize(10_000)))
	for name, c := range map[string]struct {
		size int
		code codes.Code
		stop bool
	}{
		"too large":           {20_000, codes.ResourceExhausted, false},
		"on a stream ended":   {5_000, codes.Canceled, true},
		"small, stream ended": {500, codes.Canceled, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		owner := newCounted()
		var f Frame
		f.AddOwned(make([]byte, c.size), owner)
		if c.stop {
			cancel()
		}
		err := conn.Invoke(ctx, echoMethod, &f, new(Frame))
		if status.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		f.Free()
		f.Free()
		owner.wait(t)
		cancel()
	}
}

// pooled makes a buffer whose end can be seen.
func pooled(b []byte) (mem.Buffer, *counted) {
	owner := newCounted()
	l := &loan{b, owner}
	return mem.NewBuffer(&l.bytes, l), owner
}

func TestReceivedBuffersAreKeptByReference(t *testing.T) {
	buffer, owner := pooled(bytes.Repeat([]byte("x"), 4_096))
	data := mem.BufferSlice{buffer}
	var f Frame
	if err := New().Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	data.Free() // as gRPC does on return
	if owner.released.Load() != 0 {
		t.Fatal("the frame holds no reference")
	}
	if &f.Bytes()[0] != &buffer.ReadOnlyData()[0] {
		t.Error("the bytes were copied")
	}
	f.Free()
	if owner.released.Load() != 1 {
		t.Error("the buffer was not released")
	}
}

func TestASecondMessageTakesThePlaceOfTheFirst(t *testing.T) {
	first, owner1 := pooled(make([]byte, 4_096))
	second, owner2 := pooled(make([]byte, 8_192))
	var f Frame
	for _, b := range []mem.Buffer{first, second} {
		data := mem.BufferSlice{b}
		if err := New().Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		data.Free()
	}
	if owner1.released.Load() != 1 || owner2.released.Load() != 0 || f.Len() != 8_192 {
		t.Errorf("released %d and %d times, %d bytes", owner1.released.Load(), owner2.released.Load(), f.Len())
	}
	f.Free()
}

func TestBytesJoinsPiecesOnce(t *testing.T) {
	a, owner1 := pooled(bytes.Repeat([]byte("a"), 2_000))
	b, owner2 := pooled(bytes.Repeat([]byte("b"), 3_000))
	f := Frame{Data: mem.BufferSlice{a, b}}
	whole := f.Bytes()
	if string(whole) != string(bytes.Repeat([]byte("a"), 2_000))+string(bytes.Repeat([]byte("b"), 3_000)) {
		t.Error("the pieces are wrong")
	}
	if owner1.released.Load() != 1 || owner2.released.Load() != 1 {
		t.Error("the pieces are still held")
	}
	if again := f.Bytes(); &again[0] != &whole[0] {
		t.Error("the bytes were joined twice")
	}
	f.Free()
	if f.Bytes() != nil {
		t.Error("a freed frame has bytes")
	}
}

func TestSmallOwnedBytesAreCopied(t *testing.T) {
	owner, b := newCounted(), []byte("small")
	var f Frame
	f.AddOwned(b, owner)
	if owner.released.Load() != 1 {
		t.Fatal("the owner is held")
	}
	b[0] = 'S' // the owner may use it again
	if string(f.Bytes()) != "small" {
		t.Error("the frame looks into released bytes")
	}
}

func TestTheStockCodecDoesTheRest(t *testing.T) {
	c := New()
	if c.Name() != "proto" {
		t.Errorf("name %q", c.Name())
	}
	want, got := records(10), new(almadiav1.RecordSet)
	data, err := c.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unmarshal(data, got); err != nil || !proto.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.Marshal("no message"); err == nil {
		t.Error("a string was marshalled")
	}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("\xff")}, got); err == nil {
		t.Error("garbage was unmarshalled")
	}
}
