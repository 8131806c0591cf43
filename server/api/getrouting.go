package api

import (
	"context"
	"fmt"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// GetRouting tells who leads the partitions of some topics, as this broker knows it.
func (s *Service) GetRouting(_ context.Context, in *almadiav1.GetRoutingRequest) (*almadiav1.GetRoutingResponse, error) {
	if err := checkTopics(in.Topics); err != nil {
		return nil, err
	}
	routes := s.routes(in.Topics)
	return &almadiav1.GetRoutingResponse{Routing: &almadiav1.Routing{Topics: routes, Brokers: s.leaders(routes)}}, nil
}

// checkTopics checks the names of topics of which there must be some.
func checkTopics(names []string) error {
	switch {
	case len(names) == 0:
		return fieldError("topics", "is required")
	case len(names) > maxPartitions:
		return fieldError("topics", "has %d entries; at most %d are allowed", len(names), maxPartitions)
	}
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		field := fmt.Sprintf("topics[%d]", i)
		if err := checkName(field, name); err != nil {
			return err
		}
		if seen[name] {
			return fieldError(field, "names topic %q again", name)
		}
		seen[name] = true
	}
	return nil
}

func (s *Service) routes(names []string) []*almadiav1.TopicRoute {
	routes := make([]*almadiav1.TopicRoute, len(names))
	for i, name := range names {
		routes[i] = s.route(name)
	}
	return routes
}

// route tells who leads the partitions of a topic, or that there is none of that name.
func (s *Service) route(name string) *almadiav1.TopicRoute {
	t, err := s.topic(name)
	if err != nil {
		return &almadiav1.TopicRoute{Topic: name, Error: detailOf(err)}
	}
	route := &almadiav1.TopicRoute{
		Topic: name, TopicId: t.ID[:],
		LeaderIds: make([]int32, len(t.Partitions)), LeaderEpochs: make([]uint32, len(t.Partitions)),
	}
	for i, placed := range t.Partitions {
		p := s.partitions.Get(placed.Log)
		if p == nil {
			continue
		}
		view := p.View()
		route.LeaderEpochs[i] = uint32(view.Leadership.Term)
		if node, ok := leaderOf(placed, view); ok {
			route.LeaderIds[i] = int32(node)
		}
	}
	return route
}

// leaders are the brokers that routes name, by id.
func (s *Service) leaders(routes []*almadiav1.TopicRoute) (brokers []*almadiav1.Broker) {
	named := map[int32]bool{}
	for _, r := range routes {
		for _, id := range r.LeaderIds {
			named[id] = true
		}
	}
	for _, b := range s.metadata.Image().Brokers() {
		if named[int32(b.ID)] {
			brokers = append(brokers, s.broker(b.ID))
		}
	}
	return brokers
}
