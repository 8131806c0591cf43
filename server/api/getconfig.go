package api

import (
	"context"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// Setting is a setting of the broker, as GetConfig tells it. None is a secret.
type Setting struct{ Name, Value, Default, Description string }

// GetConfig tells how this broker is set up.
func (s *Service) GetConfig(context.Context, *almadiav1.GetConfigRequest) (*almadiav1.GetConfigResponse, error) {
	resp := &almadiav1.GetConfigResponse{Entries: make([]*almadiav1.ConfigEntry, len(s.settings))}
	for i, e := range s.settings {
		resp.Entries[i] = &almadiav1.ConfigEntry{Name: e.Name, Value: e.Value, DefaultValue: e.Default, Description: e.Description}
	}
	return resp, nil
}
