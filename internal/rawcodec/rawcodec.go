// Package rawcodec lets encoded messages pass through gRPC as they are.
//
// Codec is the stock protobuf codec but for one type: a *Frame is sent as the bytes that
// it holds and received by reference to the buffers that the transport read, with no copy
// and no decoding. Both ends speak ordinary protobuf; neither can tell that the other
// did not build a message. It is given to one server or client with
// grpc.ForceServerCodecV2 or grpc.ForceCodecV2; the process-wide registry is left alone.
//
// Ownership: a Frame owns what it holds. Sending hands that over to gRPC, which frees it
// once it is written, receiving takes a share in it, and Free gives up what is there. So
// one rule serves all ways out, errors too: whoever has the Frame calls Free at the end.
// A Frame is used by one goroutine at a time.
package rawcodec

import (
	"google.golang.org/grpc/encoding"
	stock "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Codec implements encoding.CodecV2. Use New to make one.
type Codec struct{ stock encoding.CodecV2 }

// New makes the codec.
func New() Codec { return Codec{encoding.GetCodecV2(stock.Name)} }

// Name is that of the stock codec: on the wire there is no difference.
func (Codec) Name() string { return stock.Name }

// Marshal hands over the buffers of a *Frame, which is empty afterwards; anything else
// goes to the stock codec.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*Frame)
	if !ok {
		return c.stock.Marshal(v)
	}
	data := f.Data
	f.Data = nil
	return data, nil
}

// Unmarshal gives a *Frame references to the buffers in place of what it held; anything
// else goes to the stock codec.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*Frame)
	if !ok {
		return c.stock.Unmarshal(data, v)
	}
	data.Ref()
	f.Free()
	f.Data = append(f.Data, data...)
	return nil
}
