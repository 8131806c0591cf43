// Package e2e holds tests of whole processes: a real broker, the real tools, kill -9.
// Each has a short form, which `make test` runs, and a long one behind a flag, which
// `make e2e` runs.
package e2e
