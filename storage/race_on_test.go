//go:build race

package storage

// raceDetector: what runs in one goroutine is then run for less long.
const raceDetector = true
