package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const tour = "docs/tour.md"

// TestTourNamesWhatIsThere keeps the tour true: every path in it exists, and a function
// named right after a file is declared in that file.
func TestTourNamesWhatIsThere(t *testing.T) {
	tree := os.DirFS(top)
	text, err := fs.ReadFile(tree, tour)
	if err != nil {
		t.Fatal(err)
	}
	if len(stops(string(text))) == 0 {
		t.Fatalf("%s names no path: this test looks for the wrong thing", tour)
	}
	report(t, lost(tree, string(text)))
}

func TestTourFindsWhatIsGone(t *testing.T) {
	tree := fstest.MapFS{"attic/box.go": {Data: []byte("package attic\n\ntype Box struct{}\n\nfunc (b *Box) Open() {}\n\nfunc shut() {}\n")}}
	for _, c := range []struct{ name, text, want string }{
		{"a file", "See `attic/box.go`.", ""},
		{"a folder", "See `attic/`.", ""},
		{"a method", "`attic/box.go` `(*Box).Open`", ""},
		{"a function", "`attic/box.go` `shut`", ""},
		{"words between", "`attic/box.go` has `Closed`", ""},
		{"no path", "`Closed` and `a b/c`", ""},
		{"a file that is gone", "See `attic/bag.go`.", "attic/bag.go is not there"},
		{"a method that is gone", "`attic/box.go` `(*Box).Close`", "attic/box.go declares no (*Box).Close"},
		{"a method of another type", "`attic/box.go` `(*Bag).Open`", "attic/box.go declares no (*Bag).Open"},
		{"a method over the line's end", "`attic/box.go`\n`(*Box).Close`", "attic/box.go declares no (*Box).Close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(lost(tree, c.text), "; "); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// stop is a place of the tour: a path, and perhaps a function in that file.
type stop struct{ path, function string }

var stopPattern = regexp.MustCompile("`([\\w.-]+/[\\w./-]*)`(?:\\s`([\\w.()*]+)`)?")

func stops(text string) (all []stop) {
	for _, m := range stopPattern.FindAllStringSubmatch(text, -1) {
		all = append(all, stop{path: path.Clean(m[1]), function: m[2]})
	}
	return all
}

// lost finds what a text names and the tree does not have.
func lost(tree fs.FS, text string) (problems []string) {
	for _, s := range stops(text) {
		if _, err := fs.Stat(tree, s.path); err != nil {
			problems = append(problems, s.path+" is not there")
			continue
		}
		if s.function == "" {
			continue
		}
		declared, err := functions(tree, s.path)
		if err != nil {
			problems = append(problems, err.Error())
		} else if !slices.Contains(declared, s.function) {
			problems = append(problems, fmt.Sprintf("%s declares no %s", s.path, s.function))
		}
	}
	return problems
}

// functions are the functions of a file as Go's documentation writes them: F, T.M, (*T).M.
func functions(tree fs.FS, name string) (all []string, err error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		switch {
		case !ok:
		case f.Recv == nil:
			all = append(all, f.Name.Name)
		default:
			all = append(all, receiver(f.Recv.List[0].Type)+"."+f.Name.Name)
		}
	}
	return all, nil
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "(*" + receiver(e.X) + ")"
	case *ast.Ident:
		return e.Name
	}
	return "?"
}
