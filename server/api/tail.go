package api

import (
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Tail pushes records until the caller goes away, the end that was asked for is reached, a
// partition fails, or the broker drains.
func (s *Service) Tail(in *almadiav1.TailRequest, stream grpc.ServerStream) error {
	options, err := checkTail(in)
	if err != nil {
		return err
	}
	rs, err := s.openAll(stream.Context(), in, options)
	if err != nil {
		return err
	}
	defer rs.close()
	if in.MaxRecords > 0 {
		rs.records = int(in.MaxRecords)
	}
	p := s.newPusher(stream, in, rs, s.heartbeat)
	for {
		if err := rs.failure(); err != nil {
			return err
		}
		if rs.fulfilled() {
			return nil
		}
		if err := p.tail(); err != nil {
			return err
		}
	}
}

// tail sends one message of a Tail, or waits.
func (p *pusher) tail() error {
	if err := p.follow(); err != nil {
		return err
	}
	told := &almadiav1.TailResponse{Notice: p.notice()}
	resp := newResponse(&p.readers.options, proto.Size(told))
	p.readers.fill(resp)
	switch {
	case resp.size > 0 || p.due:
		return p.send(resp.frame(told))
	case p.readers.failure() != nil, p.readers.fulfilled():
		return nil // the caller sees to it
	}
	_, err := p.wait(nil)
	return err
}

func checkTail(in *almadiav1.TailRequest) (readOptions, error) {
	options, err := checkPushed(in)
	if err == nil && in.MaxRecords < 0 {
		err = fieldError("max_records", "is %d, must not be negative", in.MaxRecords)
	}
	return options, err
}
