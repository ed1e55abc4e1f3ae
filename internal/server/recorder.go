package server

import (
	"context"

	"github.com/pierhead/pierhead/internal/audit"
	"github.com/pierhead/pierhead/internal/enrol"
)

// recorder writes enrolments into the trail.
type recorder struct{ trail *audit.Trail }

// Note records one enrolment, or why there was none.
func (r recorder) Note(ctx context.Context, n enrol.Note) error {
	attrs := []audit.Attr{{Key: "outcome", Value: string(n.Outcome)}}
	for _, a := range []audit.Attr{
		{Key: "invite", Value: n.Invite}, {Key: "identity", Value: n.Name.String()}, {Key: "role", Value: n.Role}, {Key: "by", Value: n.By},
		{Key: "device", Value: n.Device}, {Key: "address", Value: n.Address}, {Key: "serial", Value: n.Serial}, {Key: "reason", Value: n.Reason},
	} {
		if a.Value != "" {
			attrs = append(attrs, a)
		}
	}
	return r.trail.Note(ctx, "enrolment", attrs...)
}
