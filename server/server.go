package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/api"
	"github.com/almadia/almadia/server/controller"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"google.golang.org/grpc"
)

const (
	// leaderWait bounds how long a start waits for partitions to have leaders; serving goes
	// on without those that have none by then.
	leaderWait = 5 * time.Second
	// streamWait is how long streams have to tell their clients that the broker stops. A client
	// that does not read never hears it, and keeps no other from the next broker.
	streamWait = time.Second
	// commitWait bounds how long a stop waits for what is proposed to be committed.
	commitWait = 5 * time.Second
	// syncRetry is the pause before partitions that could not be opened are tried again.
	syncRetry = 5 * time.Second
)

// Server is a broker. Start it once; then any goroutine may Wait for it and Stop it.
type Server struct {
	cfg     Config
	metrics metrics
	ready   atomic.Bool

	// Set by Start, in this order.
	listener     net.Listener
	httpListener net.Listener // nil: none
	http         *http.Server
	store        *storage.Store
	host         *raft.Host
	metadata     *meta.Machine
	partitions   *partition.Set
	controller   *controller.Controller
	service      *api.Service
	grpc         *grpc.Server

	changed chan struct{}  // receives when the metadata has changed
	quit    chan struct{}  // closed: loops end
	loops   sync.WaitGroup // of goroutines that end with quit or their server
	failed  chan error     // receives the first failure of a running server

	end  sync.Once
	done chan struct{} // closed: nothing runs any more
	err  error         // why it failed; set before done is closed
}

// New checks the configuration. Nothing is opened before Start.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Server{
		cfg:     cfg,
		metrics: newMetrics(cfg),
		changed: make(chan struct{}, 1),
		quit:    make(chan struct{}),
		failed:  make(chan error, 1),
		done:    make(chan struct{}),
	}, nil
}

// now is the time by the broker's clock.
func (s *Server) now() time.Time {
	now, _ := s.cfg.Clock()
	return now
}

// Addr is the address for gRPC clients, once started.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// HTTPAddr is the address of the HTTP port, once started; empty without one.
func (s *Server) HTTPAddr() string {
	if s.httpListener == nil {
		return ""
	}
	return s.httpListener.Addr().String()
}

// Start recovers the data directory and serves. It returns when calls are answered, or with
// what keeps the broker from it; ctx bounds only the start.
func (s *Server) Start(ctx context.Context) error {
	began := time.Now()
	if err := s.start(ctx); err != nil {
		if s.host != nil && s.host.Err() != nil {
			err = s.host.Err() // the other only follows from it
		}
		s.finish(context.WithoutCancel(ctx), err)
		return err
	}
	s.loops.Go(s.watch)
	s.setReady(true)
	s.cfg.Logger.Info("broker is ready", "listen", s.Addr(), "node_id", s.cfg.NodeID, "cluster_id", s.metadata.Image().ClusterID,
		"topics", len(s.metadata.Image().Topics()), "took_ms", time.Since(began).Milliseconds())
	if !s.trusted() {
		s.cfg.Logger.Warn("everybody who reaches this broker may do everything", "listen", s.Addr())
	}
	return nil
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.listener, err = listen("--listen", s.cfg.Listen); err != nil {
		return err
	}
	if err := s.serveHTTP(); err != nil {
		return err
	}
	if s.store, err = s.openStore(); err != nil {
		return err
	}
	s.tellRecovery()
	s.host = raft.NewHost(raft.Config{Store: s.store, Logger: s.cfg.Logger, Registerer: s.metrics.registry, Now: s.now})
	s.host.Start()
	if err := s.openMetadata(ctx); err != nil {
		return err
	}
	s.openPartitions(ctx)
	s.service = api.New(api.Config{
		Node:             meta.NodeID(s.cfg.NodeID),
		Metadata:         s.metadata,
		Partitions:       s.partitions,
		Controller:       s.controller,
		Logger:           s.cfg.Logger,
		Metrics:          s.metrics.api,
		AutoCreateTopics: s.cfg.AutoCreateTopics,
		Heartbeat:        s.cfg.TailHeartbeat,
		Settings:         s.cfg.settings(),
	})
	s.grpc = s.service.GRPCServer()
	s.loops.Go(func() {
		if err := s.grpc.Serve(s.listener); err != nil {
			s.fail(fmt.Errorf("serve %s: %w", s.Addr(), err))
		}
	})
	return nil
}

func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process; stop that one, or choose another address with %s", addr, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

func (s *Server) serveHTTP() (err error) {
	if s.cfg.HTTPListen == "" {
		return nil
	}
	if s.httpListener, err = listen("--http-listen", s.cfg.HTTPListen); err != nil {
		return err
	}
	s.http = s.newHTTP()
	s.loops.Go(func() {
		if err := s.http.Serve(s.httpListener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve %s: %w", s.HTTPAddr(), err))
		}
	})
	return nil
}

func (s *Server) tellRecovery() {
	r := s.store.Report()
	s.cfg.Logger.Info("data directory is open", "dir", s.cfg.DataDir, "new", r.New, "clean_shutdown", r.CleanShutdown,
		"logs", r.Logs, "redone_bytes", r.RedoneBytes, "cut_bytes", r.CutBytes)
}

// openMetadata runs the metadata log until it is led here, and makes this broker known.
func (s *Server) openMetadata(ctx context.Context) error {
	s.metadata = meta.NewMachine(func(*meta.Image) {
		select {
		case s.changed <- struct{}{}:
		default: // one is on its way already
		}
	})
	if err := s.placeMetadata(); err != nil {
		return fmt.Errorf("open the metadata: %w", err)
	}
	if err := s.metadata.Ready(ctx); err != nil {
		return err
	}
	if err := s.checkNode(); err != nil {
		return err
	}
	s.partitions = partition.NewSet(meta.NodeID(s.cfg.NodeID), s.host, s.store)
	s.controller = controller.New(s.metadata, s.partitions.AwaitFrom, s.now, newTopicID)
	if err := s.controller.EnsureCluster(ctx, strings.ToLower(rand.Text())); err != nil {
		return err
	}
	return s.controller.RegisterBroker(ctx, meta.Broker{
		ID:        meta.NodeID(s.cfg.NodeID),
		Endpoint:  s.cfg.endpoint(s.listener.Addr()),
		Version:   s.cfg.Version,
		StartTime: s.now(),
	})
}

func newTopicID() (id [16]byte) {
	rand.Read(id[:]) // never fails
	return id
}

// openPartitions opens what the metadata places here, waits for leaders, and goes on keeping
// both in step. A partition that cannot be opened keeps no other from being served.
func (s *Server) openPartitions(ctx context.Context) {
	im := s.metadata.Image()
	ok := s.sync(im)
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	for _, t := range im.Topics() {
		if err := s.partitions.Await(ctx, t); err != nil {
			s.cfg.Logger.Warn("topic is not ready yet", "topic", t.Name, "error", err)
		}
	}
	s.loops.Go(func() { s.keepInStep(ok) })
	s.loops.Go(s.retain)
}

// sync brings the partitions in step with an image, and tells whether all are.
func (s *Server) sync(im *meta.Image) bool {
	err := s.partitions.Sync(im)
	if err != nil {
		s.cfg.Logger.Error("partitions are not in step with the metadata", "error", err)
	}
	return err == nil
}

// keepInStep syncs whenever the metadata has changed, and again after a while if not all went
// well.
func (s *Server) keepInStep(ok bool) {
	for {
		var retry <-chan time.Time
		if !ok {
			retry = time.After(syncRetry)
		}
		select {
		case <-s.changed:
		case <-retry:
		case <-s.quit:
			return
		}
		ok = s.sync(s.metadata.Image())
	}
}

// watch ends a server that cannot go on.
func (s *Server) watch() {
	var err error
	select {
	case <-s.quit:
		return
	case <-s.host.Done():
		err = fmt.Errorf("the broker cannot go on: %w", s.host.Err())
	case err = <-s.failed:
	}
	s.cfg.Logger.Error("broker stops", "error", err)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	go s.finish(now, err)
}

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first one counts
	}
}

// Wait waits until the server has stopped. The error is why it did, nil if that was Stop: the
// process is to exit non-zero with one.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Stop ends the server: it tells that it is no longer ready, ends streams, lets calls finish
// until ctx ends, and closes the data directory. The error is why that was not clean.
func (s *Server) Stop(ctx context.Context) error {
	s.finish(ctx, nil)
	<-s.done
	return s.err
}

// finish undoes the start, as far as it went.
func (s *Server) finish(ctx context.Context, cause error) {
	s.end.Do(func() {
		began := time.Now()
		s.setReady(false)
		s.endCalls(ctx)
		close(s.quit)
		var httpErr error
		if s.http != nil {
			httpErr = s.http.Close()
		}
		s.loops.Wait()
		s.err = cmp.Or(cause, s.closeStore(), httpErr) // what comes later follows from the first
		if s.err == nil {
			s.cfg.Logger.Info("broker has stopped", "took_ms", time.Since(began).Milliseconds())
		}
		close(s.done)
	})
}

// endCalls ends the gRPC server: when all calls are done, when only streams are left whose
// clients do not read, or when ctx ends.
func (s *Server) endCalls(ctx context.Context) {
	if s.grpc == nil {
		if s.listener != nil {
			_ = s.listener.Close() // nobody was accepted
		}
		return
	}
	s.service.Drain()
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	s.awaitCalls(ctx, stopped)
	s.grpc.Stop()
	<-stopped
}

// awaitCalls waits until the gRPC server has stopped, or there is nothing left to wait for.
func (s *Server) awaitCalls(ctx context.Context, stopped <-chan struct{}) {
	look := time.NewTicker(streamWait)
	defer look.Stop()
	for idle := false; ; {
		select {
		case <-stopped:
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if idle && s.service.Idle() {
				return
			}
			idle = s.service.Idle() // what it did last may be on its way to the client still
		}
	}
}

// closeStore stops what writes to the data directory, and closes it.
func (s *Server) closeStore() error {
	if s.store == nil {
		return nil
	}
	stopErr, closeErr := s.host.Stop(commitWait), s.store.Close()
	return cmp.Or(stopErr, closeErr)
}

func (s *Server) setReady(ready bool) {
	s.ready.Store(ready)
	if s.service != nil {
		s.service.SetReady(ready)
	}
}

// trusted tells whether only this machine reaches the broker.
func (s *Server) trusted() bool {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	return err == nil && loopback(host)
}
