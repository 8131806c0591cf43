// Package archtest holds the house to its plan. Its tests read the source of every
// package of the module and fail when an import climbs, when a foreign module is used
// outside the rooms it was let into, when a package is not on the plan, and when the
// guided tour names a place that is gone. Each check is also run on planted source that
// breaks it, and must find that.
//
// The plan is data: see floors_test.go.
package archtest
