package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/almadia/almadia"

// top is the module's directory, seen from this one.
const top = "../.."

// source is one Go file, under any build tags.
type source struct {
	dir  string // below the top; also the package's name in this test
	name string
	ast  *ast.File
}

func (s source) path() string { return path.Join(s.dir, s.name) }

// matches tells whether the file is named as the pattern says.
func (s source) matches(pattern string) bool {
	ok, _ := path.Match(pattern, s.name)
	return ok
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) isGenerated() bool { return strings.HasPrefix(s.dir, "gen/") }

// imports are the import paths with the names given to them, "" if none.
func (s source) imports() map[string]string {
	all := map[string]string{}
	for _, spec := range s.ast.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		all[path] = ""
		if spec.Name != nil {
			all[path] = spec.Name.Name
		}
	}
	return all
}

// names are the names that the file takes from a package that it imports unrenamed.
func (s source) names(imported string) map[string]bool {
	all := map[string]bool{}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if from, ok := sel.X.(*ast.Ident); ok && from.Name == path.Base(imported) {
				all[sel.Sel.Name] = true
			}
		}
		return true
	})
	return all
}

// house reads the module.
func house(t *testing.T) []source {
	t.Helper()
	sources, err := read(os.DirFS(top))
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// read reads all Go files of a module, but those of modules inside it and those that
// the go command does not see.
func read(tree fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(tree, name, d.Name())
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		sources = append(sources, source{dir: path.Dir(name), name: d.Name(), ast: parsed})
		return nil
	})
	return sources, err
}

// enter gives fs.SkipDir for folders that hold none of the module's packages.
func enter(tree fs.FS, dir, base string) error {
	if dir == "." {
		return nil
	}
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}
