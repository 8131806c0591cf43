package main

import (
	"maps"
	"slices"
)

// maxTypos is how many letters a name may be off to be told from another word.
const maxTypos = 2

// nearest finds the name that was probably meant, "" if there is none.
func nearest(typed string, names []string) string {
	best, typos := "", maxTypos+1
	for _, name := range names {
		if n := distance(typed, name); n < typos && n < len(name)/2 {
			best, typos = name, n
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with the next one to make
// b of a.
func distance(a, b string) int {
	// Rows of the table of the distances between the first i letters of a and j of b: for i,
	// and before it for i-1 and i-2.
	row, last, before := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, last, before = before, row, last
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// keysOf are the keys of a set, in order.
func keysOf(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
