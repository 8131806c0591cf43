package main

import (
	"errors"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestAStreamThatEndsEarly: who reads is told how to go on, whoever ended the stream.
func TestAStreamThatEndsEarly(t *testing.T) {
	lost := status.New(codes.Unavailable, "EOF")
	stopped, err := status.New(codes.Unavailable, "x").WithDetails(&almadiav1.ErrorDetail{Message: "the broker is stopping", Retryable: true})
	if err != nil {
		t.Fatal(err)
	}
	for want, st := range map[string]*status.Status{
		"the connection to the broker is lost: EOF":           lost,
		"the broker ended the stream: the broker is stopping": stopped,
	} {
		f := explain(interpretTail(st.Err()))
		if f.what != want || !strings.Contains(f.fix, "last offset") || f.exit != exitFailed {
			t.Errorf("%+v, want %q", f, want)
		}
	}
	if other := status.Error(codes.NotFound, "no topic"); !errors.Is(interpretTail(other), other) {
		t.Error("another error is not told as it is")
	}
}
