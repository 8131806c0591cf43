package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// stop stops the broker, which must be clean.
func (r *rig) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Fatalf("stop: %v\n%s", err, r.log)
	}
	if err := r.Wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
}

func on(fs vfs.FS) func(*server.Config) { return func(c *server.Config) { c.FS = fs } }

func TestARestartKeepsEverything(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	created := r.create(t, "demo", 2)
	r.values(t, "demo", 1, "a", "b", "c")
	cluster, err := r.cluster.GetCluster(t.Context(), &almadiav1.GetClusterRequest{})
	if err != nil {
		t.Fatal(err)
	}
	crashed := disk.Clone()
	unpowered := disk.Clone().PowerLoss(rand.New(rand.NewPCG(1, 2)))
	r.stop(t)
	for name, disk := range map[string]vfs.FS{"a stop": disk, "a crash": crashed, "a power loss": unpowered} {
		t.Run(name, func(t *testing.T) {
			r := start(t, on(disk))
			if got := valuesOf(r.records(t, "demo", 1, asRecords)); fmt.Sprint(got) != "[a b c]" {
				t.Errorf("records %v", got)
			}
			topic, err := r.topic.GetTopic(t.Context(), &almadiav1.GetTopicRequest{Topic: "demo"})
			if err != nil || string(topic.Topic.TopicId) != string(created.TopicId) {
				t.Errorf("topic %v, %v", topic, err)
			}
			now, err := r.cluster.GetCluster(t.Context(), &almadiav1.GetClusterRequest{})
			if err != nil || now.ClusterId != cluster.ClusterId || len(now.Brokers) != 1 {
				t.Errorf("cluster %v, was %v; %v", now, cluster, err)
			}
			r.values(t, "demo", 1, "d")
			if got := valuesOf(r.records(t, "demo", 1, asRecords)); fmt.Sprint(got) != "[a b c d]" {
				t.Errorf("records %v", got)
			}
		})
	}
}

func TestEphemeralNeedsNoDirectory(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Ephemeral, c.DataDir, c.FS = true, "", nil })
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a")
}

func TestARealDirectoryIsMade(t *testing.T) {
	dir := t.TempDir() + "/a/b/c"
	r := start(t, func(c *server.Config) { c.DataDir, c.FS = dir, nil })
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a")
	other, err := server.New(server.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("a second broker on the directory: %v", err)
	}
	if err := other.Wait(); err == nil {
		t.Error("Wait tells nothing of a start that failed")
	}
}

func TestConfigurationsAreRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	foreign := vfs.NewMem()
	if err := errors.Join(foreign.Mkdir("/data"), foreign.Mkdir("/data/photos")); err != nil {
		t.Fatal(err)
	}
	disk := vfs.NewMem()
	start(t, on(disk)).stop(t)
	for name, c := range map[string]struct {
		set  func(*server.Config)
		says string
	}{
		"no data directory":             {func(c *server.Config) { c.DataDir = "" }, "--data-dir"},
		"an address for all":            {func(c *server.Config) { c.Listen = "0.0.0.0:0" }, "--insecure"},
		"an address without a host":     {func(c *server.Config) { c.Listen = ":0" }, "--insecure"},
		"an address by name":            {func(c *server.Config) { c.Listen = "broker.example:0" }, "--insecure"},
		"an HTTP address for all":       {func(c *server.Config) { c.HTTPListen = "[::]:0" }, "--insecure"},
		"no address":                    {func(c *server.Config) { c.Listen = "4610" }, "--listen takes host:port"},
		"no HTTP address":               {func(c *server.Config) { c.HTTPListen = "on" }, "--http-listen takes host:port"},
		"no address for clients":        {func(c *server.Config) { c.Advertise = ":4610" }, "--advertise takes host:port"},
		"a node id that clients lose":   {func(c *server.Config) { c.NodeID = 1 << 31 }, "--node-id"},
		"a port in use":                 {func(c *server.Config) { c.Listen = taken.Addr().String() }, "choose another address with --listen"},
		"an HTTP port in use":           {func(c *server.Config) { c.HTTPListen = taken.Addr().String() }, "choose another address with --http-listen"},
		"a directory of something else": {on(foreign), "photos"},
		"a directory of another node":   {func(c *server.Config) { c.FS, c.NodeID = disk, 2 }, "--node-id 1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := server.Config{DataDir: "/data", Listen: "127.0.0.1:0", FS: vfs.NewMem()}
			c.set(&cfg)
			s, err := server.New(cfg)
			if err == nil {
				err = s.Start(t.Context())
			}
			if err == nil {
				s.Stop(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
	start(t, on(disk)) // untouched by all that
}

func TestInsecureIsTypedAndTold(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Listen, c.Insecure = "0.0.0.0:0", true })
	if !strings.Contains(r.log.String(), "everybody who reaches this broker may do everything") {
		t.Errorf("the log does not tell:\n%s", r.log)
	}
}

func TestHealth(t *testing.T) {
	r := start(t, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	health := grpc_health_v1.NewHealthClient(r.conn)
	for _, service := range []string{"", "almadia.ready"} {
		resp, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, resp, err)
		}
	}
	for path, want := range map[string]string{
		"/healthz": "alive", "/readyz": "ready", "/metrics": `almadia_build_info{version="1.2.3"} 1`,
	} {
		code, body := httpGet(t, "http://"+r.HTTPAddr()+path)
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %.200s", path, code, body)
		}
	}
	if code, _ := httpGet(t, "http://"+r.HTTPAddr()+"/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("/debug/pprof/: %d", code)
	}

	watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "almadia.ready"})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := watch.Recv(); err != nil || resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", resp, err)
	}
	r.stop(t) // the watch does not hold it up
	for {
		if _, err := watch.Recv(); err != nil {
			refused(t, watch.Trailer(), err, notReady)
			return
		}
	}
}

func httpGet(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestMetricsCountCalls(t *testing.T) {
	r := start(t, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a", "b")
	r.readAll(t, "demo", 0, nil)
	_, _ = r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{})
	_, body := httpGet(t, "http://"+r.HTTPAddr()+"/metrics")
	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Produce",grpc_service="almadia.v1.ProduceService",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="InvalidArgument",grpc_method="Produce",grpc_service="almadia.v1.ProduceService",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Tail",grpc_service="almadia.v1.FetchService",grpc_type="server_stream"} 0`,
		"almadia_produced_records_total 2\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics do not have %s", want)
		}
	}
}

func TestReflectionShowsTheServices(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(r.conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(q *grpc_reflection_v1.ServerReflectionRequest) *grpc_reflection_v1.ServerReflectionResponse {
		if err := stream.Send(q); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := ask(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	var names []string
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	if want := "almadia.v1.ClusterService almadia.v1.FetchService almadia.v1.ProduceService almadia.v1.TopicService grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection"; strings.Join(names, " ") != want {
		t.Errorf("services %v", names)
	}
	resp = ask(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "almadia.v1.ProduceService.Produce",
	}})
	if len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("no file for Produce: %v", resp)
	}
}

// An open stream of any service ends, an open call is answered.
func TestAStopWaitsForNobody(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = time.Millisecond })
	r.create(t, "demo", 1)
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}})
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	reflection, err := grpc_reflection_v1.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
	if err == nil {
		err = reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	}
	if err == nil {
		_, err = reflection.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		_, err := r.fetch.Fetch(t.Context(), &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())}, MaxWait: durationpb.New(limit),
		})
		polled <- err
	}()
	before := time.Now()
	r.stop(t)
	if took := time.Since(before); took > limit/2 {
		t.Errorf("the stop took %v", took)
	}
	if err := <-polled; err != nil && status.Code(err) != codes.Unavailable { // it may have come too late
		t.Errorf("the poll ended with %v", err)
	}
	_, err = reflection.Recv()
	refused(t, reflection.Trailer(), err, notReady)
	for {
		if _, err := s.Recv(); err != nil {
			refused(t, s.Trailer(), err, notReady)
			if !strings.Contains(err.Error(), "the broker is stopping") {
				t.Errorf("a reader is told %v", err)
			}
			return
		}
	}
}

// A client that asked for much and reads nothing cannot be told; the stop is not for it to
// hold up.
func TestAStopDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	for range 12 { // more than the windows of HTTP/2 take
		r.values(t, "demo", 0, string(make([]byte, 1<<20-64)))
	}
	s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest()})
	s.next(t) // the rest stays where it is
	before := time.Now()
	r.stop(t)
	if took := time.Since(before); took > limit/4 {
		t.Errorf("the stop took %v", took)
	}
}

// Under load nobody is told anything else than that the broker goes, and what was
// acknowledged is there afterwards.
func TestAStopUnderLoadLosesNothing(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	r.create(t, "demo", 4)
	var (
		wg    sync.WaitGroup
		acked sync.Map
		count atomic.Int64
	)
	loaded := make(chan struct{})
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				value := fmt.Sprintf("%d/%d", w, i)
				resp, err := r.produce.Produce(t.Context(), &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{textRecord(value, value)}})
				if err != nil {
					if status.Code(err) != codes.Unavailable {
						t.Errorf("a write ended with %v", err)
					}
					return
				}
				acked.Store(value, resp.Results[0])
				if count.Add(1) == 500 {
					close(loaded)
				}
			}
		})
	}
	for range 2 {
		s := r.tail(t, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest()})
		wg.Go(func() {
			for {
				if _, err := s.Recv(); err != nil {
					refused(t, s.Trailer(), err, notReady)
					return
				}
			}
		})
	}
	<-loaded
	r.stop(t)
	wg.Wait()

	r = start(t, on(disk))
	if !strings.Contains(r.log.String(), "clean_shutdown=true") {
		t.Errorf("the stop was not clean:\n%s", r.log)
	}
	stored := map[int32][]string{}
	for p := range int32(4) {
		stored[p] = valuesOf(r.records(t, "demo", p, asRecords))
	}
	acked.Range(func(value, result any) bool {
		at := result.(*almadiav1.ProduceResult)
		if o := at.GetBaseOffset(); int(o) >= len(stored[at.GetPartition()]) || stored[at.GetPartition()][o] != value {
			t.Errorf("%v was acknowledged at %v and is not there", value, at)
		}
		return true
	})
}

// gate holds up the syncs of a disk while it is closed.
type gate struct {
	mu     sync.Mutex // guards opened
	opened chan struct{}
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
}

func (g *gate) hook(op vfs.Op) error {
	if op.Kind == vfs.OpDatasync {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		<-opened
	}
	return nil
}

// A disk that does not come back in time leaves open what becomes of a write: the caller is
// told just that, before its deadline.
func TestADeadlineLeavesOpenWhatRaftHas(t *testing.T) {
	g := newGate()
	r := start(t, on(vfs.WithHook(vfs.NewMem(), g.hook)))
	r.create(t, "demo", 1)
	g.close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	trailer, err := r.invoke(ctx, produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{textRecord("k", "late")}})
	refused(t, trailer, err, unknownOutcome)
	if len(trailer.Get("almadia-produce-failure-bin")) != 1 {
		t.Errorf("trailer %v", trailer)
	}
	if got := r.readAll(t, "demo", 0, nil); len(got) != 0 {
		t.Errorf("what is not durable is read: %v", got)
	}
	g.open()
	got := r.read(t, &almadiav1.FetchRequest{
		Partitions: []*almadiav1.PartitionPosition{from("demo", 0, earliest())}, MaxWait: durationpb.New(limit),
	})
	if len(got.Partitions) != 1 || string(got.Partitions[0].Records[0].Value) != "late" {
		t.Errorf("%v", got)
	}
}

// When the disk fails nothing is acknowledged any more, and the process learns that it has
// to end.
func TestAFailedDiskEndsTheBroker(t *testing.T) {
	var broken atomic.Bool
	failure := errors.New("the disk is gone")
	r := start(t, on(vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpDatasync && broken.Load() {
			return failure
		}
		return nil
	})))
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a")
	broken.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := r.produce.Produce(ctx, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{textRecord("k", "v")}})
	if code := status.Code(err); code != codes.Aborted && code != codes.Unavailable {
		t.Errorf("the write ended with %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Wait() }()
	select {
	case err := <-ended:
		if !errors.Is(err, storage.ErrPoisoned) || !errors.Is(err, failure) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(limit):
		t.Fatal("the broker goes on")
	}
}

// Bytes that changed on the disk are never served: their reader is told, the log has a line
// for it, and other partitions are read as before.
func TestDamagedBytesAreNeverServed(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	r.create(t, "demo", 2)
	r.values(t, "demo", 0, "intact")
	r.values(t, "demo", 1, "precious")
	r.stop(t)
	damage(t, disk, "precious")
	r = start(t, on(disk))
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		trailer, err := r.invoke(t.Context(), fetchCall, &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from("demo", 1, earliest())}, Options: &almadiav1.ReadOptions{Format: format},
		})
		refused(t, trailer, err, damaged)
	}
	trailer, err := r.invoke(t.Context(), tailCall, &almadiav1.TailRequest{Topics: []string{"demo"}, Start: earliest()})
	refused(t, trailer, err, damaged)
	if got := valuesOf(r.records(t, "demo", 0, asRecords)); fmt.Sprint(got) != "[intact]" {
		t.Errorf("the other partition has %v", got)
	}
	if log := r.log.String(); strings.Count(log, "call failed") != 4 || !strings.Contains(log, ".seg") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

// damage flips a bit of the bytes in a segment that read like text.
func damage(t *testing.T, disk vfs.FS, text string) {
	t.Helper()
	logs, err := disk.ReadDir("/data/logs")
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		files, err := disk.ReadDir("/data/logs/" + log)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			f, err := disk.OpenFile("/data/logs/"+log+"/"+name, os.O_RDWR)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, size)
			if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if at := bytes.Index(b, []byte(text)); at >= 0 {
				if _, err := f.WriteAt([]byte{b[at] ^ 1}, int64(at)); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatalf("no file has %q", text)
}
