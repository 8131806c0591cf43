package api

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/meta"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// GetCluster describes the cluster as this broker sees it. Of partitions that are elsewhere
// it knows neither leader nor size.
func (s *Service) GetCluster(ctx context.Context, _ *almadiav1.GetClusterRequest) (*almadiav1.GetClusterResponse, error) {
	im := s.metadata.Image()
	resp := &almadiav1.GetClusterResponse{ClusterId: im.ClusterID}
	byID := map[meta.NodeID]*almadiav1.BrokerInfo{}
	for _, b := range im.Brokers() {
		info := &almadiav1.BrokerInfo{
			Broker:    &almadiav1.Broker{Id: int32(b.ID), Endpoint: b.Endpoint},
			Version:   b.Version,
			StartTime: timestamppb.New(b.StartTime),
		}
		if b.ID == s.node {
			info.State = almadiav1.BrokerState_BROKER_STATE_ACTIVE
		}
		byID[b.ID] = info
		resp.Brokers = append(resp.Brokers, info)
	}
	resp.LeaderlessCount = s.count(im, byID)
	if s.controls(ctx) {
		resp.ControllerId = int32(s.node)
	}
	if len(resp.Brokers) > 0 {
		oldest := slices.MinFunc(resp.Brokers, func(a, b *almadiav1.BrokerInfo) int { return compareVersions(a.Version, b.Version) })
		resp.Version = oldest.Version
	}
	return resp, nil
}

// count adds what the partitions put on each broker, and counts those without a leader.
func (s *Service) count(im *meta.Image, brokers map[meta.NodeID]*almadiav1.BrokerInfo) (leaderless int32) {
	for _, t := range im.Topics() {
		for _, placed := range t.Partitions {
			for _, r := range placed.Replicas {
				if b := brokers[r.Node]; b != nil {
					b.ReplicaCount++
				}
			}
			p := s.partitions.Get(placed.Log)
			if p == nil {
				leaderless++
				continue
			}
			if b := brokers[s.node]; b != nil {
				b.SizeBytes += p.SizeBytes()
			}
			node, ok := leaderOf(placed, p.View())
			if !ok {
				leaderless++
			} else if b := brokers[node]; b != nil {
				b.LeaderCount++
			}
		}
	}
	return leaderless
}

// controls tells whether this broker leads the metadata.
func (s *Service) controls(ctx context.Context) bool {
	now, cancel := context.WithCancel(ctx)
	cancel()
	return s.metadata.Ready(now) == nil
}

// compareVersions orders versions like 1.2.10: numbers by value, the rest as text.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(as, bs, func(x, y string) int {
		n, errX := strconv.Atoi(x)
		m, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(n, m)
		}
		return cmp.Compare(x, y)
	})
}
