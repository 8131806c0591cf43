//go:build race

package badinput

// raceDetector is on: starts that read a whole journal take ten times as long.
const raceDetector = true
