// Package server puts a broker together: it opens the data directory, runs the metadata
// log and the partitions on one raft host, and serves the API of package api on them. It
// decides nothing itself.
//
// # Start
//
//	listen -> open the store, recovering it -> run the host's loops -> metadata log, ready
//	-> name the cluster, register this broker -> open the partitions -> serve
//
// The address is taken first, so that a port in use is found before data is touched;
// callers that come early wait in the listener's queue. Whatever goes wrong on the way is
// undone, and Start returns it.
//
// # Stop
//
//	not ready -> streams end, calls finish -> partitions stop -> the store closes, marked clean
//
// In the opposite order of the start, each step waiting for the one before: nothing is
// pulled from under a call. When a write to the disk fails nothing can be promised any
// more; the broker then stops by itself, at once, and Wait returns why.
//
// A server on the memory file system is a whole broker without a disk; it is what tests of
// clients and commands run against.
package server
