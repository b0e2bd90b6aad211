//go:build race

package unpack

// raceDetector: the worker is then a larger, slower program.
const raceDetector = true
