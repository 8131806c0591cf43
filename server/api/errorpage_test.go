package api

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc/codes"
)

// pageRow is how a reason is told, as in a row of the page.
type pageRow struct{ codes, retry string }

// TestErrorsAreDocumented holds the table of docs/operate.md against the rules: a row for
// each reason, with its codes, and whether to try again.
func TestErrorsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]pageRow{}
	for reason := range almadiav1.ErrorReason_name {
		if reason := almadiav1.ErrorReason(reason); reason != almadiav1.ErrorReason_ERROR_REASON_UNSPECIFIED {
			want[strings.TrimPrefix(reason.String(), "ERROR_REASON_")] = tellingOf(reason)
		}
	}
	got := map[string]pageRow{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| ([A-Z_, ]+) \\| ([a-z ]+) \\| [^|]{4,} \\|$").FindAllStringSubmatch(string(page), -1) {
		if _, twice := got[m[1]]; twice {
			t.Errorf("%s has two rows", m[1])
		}
		got[m[1]] = pageRow{m[2], m[3]}
	}
	for reason, w := range want {
		if g, ok := got[reason]; !ok || g != w {
			t.Errorf("%s is told by %s, retry: %s; the page says %+v", reason, w.codes, w.retry, g)
		}
		delete(got, reason)
	}
	for reason := range got {
		t.Errorf("the page has %s, which the contract does not", reason)
	}
}

// tellingOf puts the rules of a reason into the words of the page.
func tellingOf(reason almadiav1.ErrorReason) pageRow {
	var all, retries []string
	for _, r := range append(slices.Clone(rules), internal) {
		if r.reason != reason {
			continue
		}
		all = append(all, codeNames[r.code])
		retries = append(retries, map[bool]string{true: "yes", false: "no"}[r.retryable])
	}
	slices.Sort(all)
	slices.Sort(retries)
	retries = slices.Compact(retries)
	retry := "it says"
	if len(retries) == 1 {
		retry = retries[0]
	}
	return pageRow{strings.Join(slices.Compact(all), ", "), retry}
}

// codeNames are the codes of the rules in the spelling of the gRPC specification.
var codeNames = map[codes.Code]string{
	codes.InvalidArgument: "INVALID_ARGUMENT", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE", codes.DataLoss: "DATA_LOSS", codes.Unimplemented: "UNIMPLEMENTED",
}
