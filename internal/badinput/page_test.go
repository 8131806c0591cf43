package badinput

import (
	"os"
	"regexp"
	"testing"
)

var pageRow = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| .+ \\| .+ \\|$")

// pageRows are the names of the rows of the page.
func pageRows(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/bad-input.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range pageRow.FindAllSubmatch(page, -1) {
		rows = append(rows, string(m[1]))
	}
	return rows
}

// TestPage: every row has a case, every case a row.
func TestPage(t *testing.T) {
	cases := map[string]int{}
	for _, c := range allCases() {
		cases[c.row]++
	}
	listed := map[string]bool{}
	for _, row := range pageRows(t) {
		if listed[row] {
			t.Errorf("row %q stands twice on the page", row)
		}
		listed[row] = true
		if cases[row] == 0 {
			t.Errorf("row %q of the page has no case", row)
		}
	}
	if len(listed) == 0 {
		t.Error("the page has no rows")
	}
	for row := range cases {
		if !listed[row] {
			t.Errorf("there are cases of row %q, which is not on the page", row)
		}
	}
}
