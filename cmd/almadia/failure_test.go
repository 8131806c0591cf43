package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestLostAndNeverThere: to send again is safe only if nothing was sent.
func TestLostAndNeverThere(t *testing.T) {
	for text, want := range map[string]string{
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`: "no broker answers: dial tcp 127.0.0.1:1",
		"name resolver error: produced zero addresses":                                                                 "no broker answers: name resolver",
		"error reading from server: EOF":                                                                               "the connection to the broker is lost: error reading from server: EOF",
		"closing transport due to: connection error: desc = \"error reading from server: EOF\", received prior goaway": "the connection to the broker is lost",
	} {
		f := explain(status.Error(codes.Unavailable, text))
		lost := strings.Contains(f.fix, "look whether")
		if !strings.HasPrefix(f.what, want) || lost != strings.Contains(want, "lost") {
			t.Errorf("%s: %+v", text, f)
		}
	}
}
