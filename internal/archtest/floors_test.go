package archtest

import "testing"

// floors is the plan of the house, from the roof down. A package imports from floors
// strictly below its own; its tests too. A new package is a new word here, in the same
// commit, and a package that goes takes its word along.
var floors = [][]string{
	{"cmd/almadia", "internal/archtest", "internal/badinput", "internal/bench", "internal/e2e", "internal/mutant/hunt", "internal/stubs", "sdk/go/rawstub"},
	{"server"},
	{"server/api"},
	{"server/controller"},
	{"server/partition"},
	{"server/meta"},
	{"raft"},
	{"storage"},
	{"storage/compress", "storage/journal"},
	{"storage/batch"},
	{"storage/vfs"},
	{"internal/invariant", "internal/mutant", "internal/rawcodec"},
	{"gen/go/almadia/meta/v1", "gen/go/almadia/storage/v1"},
	{"gen/go/almadia/v1"},
}

// guests are the foreign modules, by import path, with the rooms that may import them.
// What is not here may not be imported at all.
var guests = []guest{
	{path: "github.com/grpc-ecosystem/go-grpc-middleware", rooms: []string{"server/api"}},
	{path: "github.com/klauspost/compress", rooms: []string{"storage/compress", "sdk/go/rawstub"}},
	{path: "github.com/pierrec/lz4/v4", rooms: []string{"storage/compress"}},
	{path: "github.com/prometheus/client_golang", rooms: []string{"..."}, files: "metrics.go *_test.go", types: "Registerer"},
	{path: "github.com/spf13", rooms: []string{"cmd/almadia"}},
	{path: "go.etcd.io/raft/v3", rooms: []string{"raft"}},
	{path: "go.yaml.in/yaml/v3", rooms: []string{"cmd/almadia"}},
	{path: "go.uber.org/goleak", rooms: []string{"..."}, files: "*_test.go"},
	{path: "golang.org/x/net", rooms: []string{"internal/badinput"}, files: "*_test.go"},
	{path: "golang.org/x/sys", rooms: []string{"storage/vfs"}},
	{path: "google.golang.org/genproto/googleapis/rpc", rooms: []string{"server/api", "cmd/almadia", "internal/e2e"}},
	{path: "google.golang.org/grpc", rooms: []string{"gen/...", "internal/rawcodec", "server/api", "server", "cmd/almadia", "internal/badinput", "internal/e2e", "internal/bench", "sdk/go/rawstub"}},
	{path: "google.golang.org/protobuf", rooms: []string{"..."}},
}

func TestImportsGoDown(t *testing.T) {
	report(t, climbs(house(t), floors))
}

func TestForeignModulesStayInTheirRooms(t *testing.T) {
	report(t, strays(house(t), guests))
}
