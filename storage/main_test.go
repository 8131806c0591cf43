package storage

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Thousands of short-lived stores are garbage, not load: collect it less often.
	debug.SetGCPercent(1000)
	goleak.VerifyTestMain(m)
}
