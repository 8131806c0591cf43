package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPackagesHaveComments(t *testing.T) {
	report(t, undocumented(house(t)))
}

func TestFilesAreNamedAfterSomething(t *testing.T) {
	report(t, nameless(house(t)))
}

func TestOwnPackagesKeepTheirNames(t *testing.T) {
	report(t, renamed(house(t)))
}

// undocumented finds packages without a package comment.
func undocumented(sources []source) (problems []string) {
	documented := map[string]bool{}
	for _, s := range sources {
		documented[s.dir] = documented[s.dir] || s.isGenerated() || !s.isTest() && s.ast.Doc != nil
	}
	for _, dir := range sorted(documented) {
		if !documented[dir] {
			problems = append(problems, dir+": no package comment")
		}
	}
	return problems
}

// nameless finds files whose name says nothing of what is in them.
func nameless(sources []source) (problems []string) {
	empty := []string{"common", "helper", "helpers", "misc", "util", "utils"}
	for _, s := range sources {
		stem := strings.TrimSuffix(strings.TrimSuffix(s.name, ".go"), "_test")
		if slices.Contains(empty, stem) {
			problems = append(problems, s.path()+": the name says nothing; name it after the noun in it")
		}
	}
	return problems
}

// renamed finds imports of our own packages under another name. Generated packages are
// named after their version, so they are renamed everywhere.
func renamed(sources []source) (problems []string) {
	for _, s := range sources {
		for imported, name := range s.imports() {
			room, own := strings.CutPrefix(imported, module+"/")
			if own && name != "" && name != "_" && !within(room, "gen/...") {
				problems = append(problems, fmt.Sprintf("%s: imports %s as %s", s.path(), room, name))
			}
		}
	}
	slices.Sort(problems)
	return problems
}
