package server

import (
	"time"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
)

// retain has partitions give up what their topics need not keep, again and again. The first
// look is one interval after the start, when a clock that was wrong at boot has mostly been
// set.
func (s *Server) retain() {
	var ages partition.Ages
	ages.Read(s.cfg.Clock())
	look := time.NewTicker(s.cfg.RetentionInterval)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-s.quit:
			return
		}
		ages.Read(s.cfg.Clock())
		s.retainAll(s.metadata.Image(), &ages)
	}
}

func (s *Server) retainAll(im *meta.Image, ages *partition.Ages) {
	for _, t := range im.Topics() {
		limits := t.Config.Effective()
		keep := partition.Retention{Time: limits.RetentionTime, Bytes: limits.RetentionBytes}
		for _, placed := range t.Partitions {
			if p := s.partitions.Get(placed.Log); p != nil {
				p.Retain(keep, ages.Of)
			}
		}
	}
}
