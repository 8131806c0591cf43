package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit codes.
const (
	exitFailed    = 1
	exitUsage     = 2
	exitNotFound  = 4
	exitUnhealthy = 10
)

// failure is an error as a person reads it: what happened, and what to do about it.
type failure struct {
	what string
	fix  string
	exit int
}

func (f *failure) Error() string { return f.what }

// usage is a failure of the command line itself.
func usage(c *cobra.Command, err error) error {
	return &failure{what: err.Error(), fix: "see " + c.CommandPath() + " --help", exit: exitUsage}
}

// explain turns any error into a failure. A gRPC status never reaches people as such.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	// What the command line library finds wrong comes as plain text.
	for _, complaint := range []string{"unknown command", "required flag", "if any flags in the group"} {
		if strings.HasPrefix(err.Error(), complaint) {
			return &failure{what: err.Error(), fix: "see almadia --help", exit: exitUsage}
		}
	}
	if errors.Is(err, context.Canceled) {
		return &failure{what: "interrupted", exit: exitFailed}
	}
	st, ok := status.FromError(err)
	if !ok {
		return &failure{what: err.Error(), exit: exitFailed}
	}
	return explainStatus(st)
}

func explainStatus(st *status.Status) *failure {
	exit := exitFailed
	if st.Code() == codes.NotFound {
		exit = exitNotFound
	}
	if d := detailOf(st); d != nil {
		return &failure{what: d.Message, fix: fixOf(d), exit: exit}
	}
	switch st.Code() {
	case codes.Unavailable:
		if !neverSent(st) {
			return &failure{what: "the connection to the broker is lost: " + innermost(st.Message()), fix: "look whether it was applied before trying again", exit: exitFailed}
		}
		return &failure{what: "no broker answers: " + innermost(st.Message()), fix: "start one with `almadia dev`, or say where it is with --addr HOST:PORT", exit: exitFailed}
	case codes.DeadlineExceeded:
		return &failure{what: "the broker did not answer in time", fix: "check --addr, or wait longer with --timeout", exit: exitFailed}
	case codes.Unimplemented:
		return &failure{what: "what answers there does not know this call: " + st.Message(), fix: "check that --addr is an almadia broker of this version", exit: exitFailed}
	case codes.Canceled:
		return &failure{what: "interrupted", exit: exitFailed}
	}
	return &failure{what: fmt.Sprintf("%s (%s)", st.Message(), st.Code()), exit: exit}
}

// neverSent tells whether there was no connection at all: gRPC says so in words alone. Of
// anything else that the transport tells, nobody knows what became of the call.
func neverSent(st *status.Status) bool {
	for _, sign := range []string{"dialing", "resolver", "server preface"} {
		if strings.Contains(st.Message(), sign) {
			return true
		}
	}
	return false
}

// innermost takes the wrapping of gRPC off the text of a connection error.
func innermost(text string) string {
	for _, layer := range []string{"desc = ", "error while dialing: ", "Error while dialing: "} {
		if _, inside, ok := strings.Cut(text, layer); ok {
			text = strings.Trim(inside, `"`)
		}
	}
	return strings.TrimPrefix(text, "transport: ")
}

// fixOf says what helps beyond what the broker's message says.
func fixOf(d *almadiav1.ErrorDetail) string {
	switch d.Reason {
	case almadiav1.ErrorReason_ERROR_REASON_OFFSET_OUT_OF_RANGE:
		return fmt.Sprintf("read between offsets %s and %s, or use -o start or -o end", d.Metadata["log_start_offset"], d.Metadata["high_watermark"])
	case almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN:
		return "look whether it was written before sending it again"
	}
	return ""
}

// detailOf is the broker's own account of an error, nil if the transport made it.
func detailOf(st *status.Status) *almadiav1.ErrorDetail {
	for _, d := range st.Details() {
		if e, ok := d.(*almadiav1.ErrorDetail); ok {
			return e
		}
	}
	return nil
}
