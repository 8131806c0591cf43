package archtest

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestChecksFind runs every check on source that breaks it in one place.
func TestChecksFind(t *testing.T) {
	plan := [][]string{{"upper", "beside"}, {"lower"}}
	lodgers := []guest{
		{path: "example.org/lib", rooms: []string{"lower/..."}},
		{path: "example.org/meter", rooms: []string{"..."}, files: "metrics.go *_test.go", types: "Registerer"},
	}
	const own = `"github.com/almadia/almadia/`
	ours := func(s []source) []string { return climbs(s, plan) }
	theirs := func(s []source) []string { return strays(s, lodgers) }
	for _, c := range []struct {
		name  string
		check func([]source) []string
		path  string
		text  string
		want  string // "" if it is in order
	}{
		{"down", ours, "upper/a.go", `package upper; import ` + own + `lower"`, ""},
		{"up", ours, "lower/a.go", `package lower; import ` + own + `upper"`,
			"lower/a.go: imports upper, which is not below lower"},
		{"sideways", ours, "beside/a.go", `package beside; import ` + own + `upper"`,
			"beside/a.go: imports upper, which is not below beside"},
		{"up under a build tag", ours, "lower/a.go", "//go:build never\n\npackage lower; import " + own + `upper"`,
			"lower/a.go: imports upper, which is not below lower"},
		{"up in a test", ours, "lower/a_test.go", `package lower_test; import ` + own + `upper"`,
			"lower/a_test.go: imports upper, which is not below lower"},
		{"itself in an external test", ours, "lower/a_test.go", `package lower_test; import ` + own + `lower"`, ""},
		{"a package without a floor", ours, "cellar/a.go", `package cellar`,
			"cellar/a.go: package cellar is on no floor"},
		{"the import of a package without a floor", ours, "upper/a.go", `package upper; import ` + own + `attic"`,
			"upper/a.go: imports attic, which is not below upper"},

		{"a guest in its room", theirs, "lower/in/a.go", `package in; import "example.org/lib/v2"`, ""},
		{"a guest in another room", theirs, "lowering/a.go", `package lowering; import "example.org/lib"`,
			"lowering/a.go: imports example.org/lib, which only lower/... may"},
		{"a guest in its file", theirs, "upper/metrics.go", `package upper; import "example.org/meter"`, ""},
		{"a guest in a test", theirs, "upper/a_test.go", `package upper; import "example.org/meter"`, ""},
		{"a guest passed on", theirs, "upper/a.go", `package upper; import "example.org/meter"; type C struct { R meter.Registerer }`, ""},
		{"a guest in another file", theirs, "upper/a.go", `package upper; import "example.org/meter"; var c meter.Counter; var r meter.Registerer`,
			"upper/a.go: imports example.org/meter, which only metrics.go *_test.go in ... may"},
		{"an uninvited module", theirs, "upper/a.go", `package upper; import "example.org/library"`,
			"upper/a.go: imports example.org/library, which nobody may"},
		{"the standard library", theirs, "upper/a.go", `package upper; import "net/http"`, ""},

		{"a package comment", undocumented, "cellar/a.go", "// Package cellar is low.\npackage cellar", ""},
		{"no package comment", undocumented, "cellar/a.go", "package cellar", "cellar: no package comment"},
		{"a package comment on a test only", undocumented, "cellar/a_test.go", "// Package cellar is low.\npackage cellar",
			"cellar: no package comment"},
		{"generated code", undocumented, "gen/go/a.go", "package gen", ""},

		{"a noun", nameless, "upper/utility.go", "package upper", ""},
		{"no noun", nameless, "upper/utils.go", "package upper",
			"upper/utils.go: the name says nothing; name it after the noun in it"},
		{"no noun in a test", nameless, "upper/helpers_test.go", "package upper",
			"upper/helpers_test.go: the name says nothing; name it after the noun in it"},

		{"an own package under its name", renamed, "upper/a.go", `package upper; import ` + own + `lower"`, ""},
		{"an own package under another", renamed, "upper/a.go", `package upper; import l ` + own + `lower"`,
			"upper/a.go: imports lower as l"},
		{"a generated package under another", renamed, "upper/a.go", `package upper; import v1 ` + own + `gen/go/v1"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{c.path: {Data: []byte(c.text)}}
			for _, room := range []string{"upper", "beside", "lower"} {
				tree[room+"/doc.go"] = &fstest.MapFile{Data: []byte("// Package " + room + " is planted.\npackage " + room)}
			}
			sources, err := read(tree)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			if got := c.check(sources); !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

func TestChecksFindAFloorWithoutPackage(t *testing.T) {
	want := []string{"attic is on a floor, but not in the house"}
	if got := climbs(nil, [][]string{{"attic"}}); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestReadSeesWhatTheGoCommandSees(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("package x")}
	sources, err := read(fstest.MapFS{
		"a/x.go":          file,
		"a/testdata/x.go": file,
		".git/x.go":       file,
		"_old/x.go":       file,
		"inner/go.mod":    {},
		"inner/x.go":      file,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) != 1 || sources[0].path() != "a/x.go" {
		t.Errorf("read %v, want a/x.go alone", sources)
	}
}
