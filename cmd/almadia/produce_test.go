package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// produceFunc is a broker that only takes records.
type produceFunc func(*almadiav1.ProduceRequest) (*almadiav1.ProduceResponse, error)

func (f produceFunc) Produce(_ context.Context, in *almadiav1.ProduceRequest, _ ...grpc.CallOption) (*almadiav1.ProduceResponse, error) {
	return f(in)
}

// TestAnAccountCutShort: a broker has little room to tell what it wrote of a request. Records
// that it does not name are not acknowledged, and nothing is sent twice.
func TestAnAccountCutShort(t *testing.T) {
	zero, base := int32(0), int64(7)
	one := int32(1)
	account := &almadiav1.ProduceFailure{
		Truncated: true,
		Written: []*almadiav1.ProduceResult{
			{Partition: &zero, BaseOffset: &base, RecordCount: 2, RecordIndexes: []int32{1}},
			{Partition: &zero, BaseOffset: &base, RecordCount: 2},
			{Partition: &one, BaseOffset: &base, RecordCount: 1, RecordIndexes: []int32{2}},
		},
	}
	st, err := status.New(codes.Aborted, "in part").WithDetails(account, &almadiav1.ErrorDetail{
		Reason: almadiav1.ErrorReason_ERROR_REASON_PARTIALLY_WRITTEN, Code: int32(codes.Aborted), Message: "in part",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report")
	report, err := openReport(file)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	p := &producer{g: &globals{timeout: defaultTimeout}, report: report, client: produceFunc(func(*almadiav1.ProduceRequest) (*almadiav1.ProduceResponse, error) {
		calls++
		return nil, st.Err()
	})}
	err = p.send(t.Context(), load{records: make([]*almadiav1.LogRecord, 5), lines: []int64{11, 12, 13, 14, 15}})
	if err == nil || !strings.Contains(err.Error(), "input lines 11 to 15 are not acknowledged") || calls != 1 || p.acked != 1 {
		t.Errorf("%d calls, %d acknowledged: %v", calls, p.acked, err)
	}
	if err := report.close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "13\t1\t7\n" {
		t.Errorf("report %q, %v", got, err)
	}
}
