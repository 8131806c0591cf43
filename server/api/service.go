package api

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// ReadyService is the name under which grpc.health.v1 tells whether the broker has
// recovered and follows the metadata. The name "" tells only that it is alive.
const ReadyService = "almadia.ready"

// maxSilence is the longest silence of a stream that pushes. A heartbeat comes well before.
const maxSilence = 15 * time.Second

// beat is when a heartbeat is due on a stream that may be silent for so long.
func beat(silence time.Duration) time.Duration { return silence * 2 / 3 }

// noticeTime is how long streams that push go on after they have told that the broker drains.
// It is part of the time that a stop takes.
const noticeTime = 100 * time.Millisecond

// Config is what a Service needs. All but the last three are required.
type Config struct {
	Node       meta.NodeID // this broker
	Metadata   *meta.Machine
	Partitions *partition.Set
	Controller *controller.Controller
	Logger     *slog.Logger
	Metrics    *Metrics

	// AutoCreateTopics makes Produce create a topic that does not exist, with one partition.
	AutoCreateTopics bool
	// Heartbeat bounds the silence of streams that push; 0: 10 s.
	Heartbeat time.Duration
	// Settings are what GetConfig tells, by name.
	Settings []Setting
}

// Service answers the calls of almadia.v1. Its methods are used by many goroutines at once.
type Service struct {
	node       meta.NodeID
	metadata   *meta.Machine
	partitions *partition.Set
	controller *controller.Controller
	logger     *slog.Logger
	metrics    *Metrics
	autoCreate bool
	heartbeat  time.Duration
	initTime   time.Duration // see initTime
	settings   []Setting

	sticky   *sticky
	health   *health.Server
	calls    atomic.Int64    // unary ones that are being worked on, and entries of streams
	draining context.Context // ended by Drain
	drain    context.CancelFunc
}

// New makes a service that is alive and not ready.
func New(cfg Config) *Service {
	s := &Service{
		node:       cfg.Node,
		metadata:   cfg.Metadata,
		partitions: cfg.Partitions,
		controller: cfg.Controller,
		logger:     cfg.Logger,
		metrics:    cfg.Metrics,
		autoCreate: cfg.AutoCreateTopics,
		heartbeat:  cmp.Or(cfg.Heartbeat, beat(maxSilence)),
		settings:   cfg.Settings,
		initTime:   initTime,
		sticky:     newSticky(time.Now, rand.Int32N),
		health:     health.NewServer(),
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.SetReady(false)
	return s
}

// SetReady tells the health service whether calls can be expected to succeed.
func (s *Service) SetReady(ready bool) {
	is := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		is = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(ReadyService, is)
}

// Drain says that the broker is about to stop: it is not ready any more, streams end, and who
// waits for records is answered with what there is. A Consume ends with OK, after a notice; a
// Tail, after one too, and all others with BROKER_NOT_READY.
func (s *Service) Drain() {
	s.SetReady(false)
	s.drain()
}

// Idle tells whether no unary call, nor an entry of a stream, is being worked on. Streams
// themselves do not count: once the broker drains, one that is still there only waits for a
// client that does not read.
func (s *Service) Idle() bool { return s.calls.Load() == 0 }
