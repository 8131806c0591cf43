// Package invariant holds the assertions that stay on in production: what they check
// can only be false through a bug, and going on would risk the log.
package invariant

import "fmt"

// Check panics with the formatted message unless ok. The caller's recover decides how
// far the damage goes; a shard stops the one replica.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}
