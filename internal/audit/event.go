// Package audit is the trail: what is written down about every call, before and after.
//
// An intent is recorded before the engine sees anything, its result after. Records are chained by hash, so that an edited, dropped or
// reordered one is found by Verify. It promises: no record, no call; a write's intent is on disk (fsync) when Begin returns, a read's
// is in the kernel's hands. The zero Durability is the strict one. Secrets are never handed to it.
package audit

import (
	"time"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
)

// Durability says what holds of an intent when Begin returns. The zero value is the strict one.
type Durability uint8

// The durabilities.
const (
	Durable Durability = iota // on disk: survives a power cut
	Written                   // in the kernel: survives the death of this process, on disk within a quarter of a second
)

// Intent is what somebody is about to do, or was refused.
type Intent struct {
	Identity identity.Identity
	Method   string
	Path     string          // as asked for, without the query: queries can carry secrets
	Call     *engineapi.Call // nil when the request could not be read
	Decision policy.Decision
}

// Result is how a call ended.
type Result struct {
	Status   int           // the engine's HTTP status; 0 when none came
	In, Out  int64         // body bytes from and to the caller
	Duration time.Duration // from intent to the end of the answer
	Error    string        // why it did not end well; empty when it did
}

// Attr is one detail of a note.
type Attr struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}
