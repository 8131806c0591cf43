package api

import (
	"context"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// WatchRouting pushes what GetRouting tells whenever it has changed, until the caller goes
// away or the broker drains.
func (s *Service) WatchRouting(in *almadiav1.WatchRoutingRequest, stream grpc.ServerStream) error {
	if err := checkTopics(in.Topics); err != nil {
		return err
	}
	w := &routingWatch{service: s, topics: in.Topics}
	for {
		changed := s.partitions.Changed() // before the look, or a change in between is missed
		if news := w.news(); news != nil {
			if err := stream.SendMsg(&almadiav1.WatchRoutingResponse{Routing: news}); err != nil {
				return err
			}
		}
		if err := s.awaitChange(stream, changed); err != nil {
			return err
		}
	}
}

// awaitChange waits for a change, and breaks the silence meanwhile.
func (s *Service) awaitChange(stream grpc.ServerStream, changed <-chan struct{}) error {
	heartbeat := time.NewTicker(s.heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-changed:
			return nil
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		case <-heartbeat.C:
			if err := stream.SendMsg(&almadiav1.WatchRoutingResponse{}); err != nil {
				return err
			}
		}
	}
}

// routingWatch remembers what a caller was told.
type routingWatch struct {
	service *Service
	topics  []string
	routes  []*almadiav1.TopicRoute
	brokers map[int32]string // endpoints
}

// news is what the caller does not know yet, nil if there is nothing. The first is everything.
func (w *routingWatch) news() *almadiav1.Routing {
	routes := w.service.routes(w.topics)
	news := &almadiav1.Routing{}
	for i, r := range routes {
		if w.routes == nil || !proto.Equal(r, w.routes[i]) {
			news.Topics = append(news.Topics, r)
		}
	}
	named := map[int32]bool{}
	for _, b := range w.service.leaders(news.Topics) {
		named[b.Id] = true
	}
	brokers := map[int32]string{}
	for _, b := range w.service.leaders(routes) {
		brokers[b.Id] = b.Endpoint
		if named[b.Id] || w.brokers[b.Id] != b.Endpoint {
			news.Brokers = append(news.Brokers, b)
		}
	}
	w.routes, w.brokers = routes, brokers
	if len(news.Topics)+len(news.Brokers) == 0 {
		return nil
	}
	return news
}
