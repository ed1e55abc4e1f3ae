package audit

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/identity"
	"github.com/pierhead/pierhead/internal/policy"
)

// openTrail opens a trail in dir and closes it with the test.
func openTrail(t testing.TB, c Config) *Trail {
	t.Helper()
	trail, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	return trail
}

func testIntent(path string) *Intent {
	return &Intent{
		Identity: identity.Identity{
			Name: identity.MustName("ana"), Kind: identity.Person, Role: "owner", Door: "tls", Address: "127.0.0.1:40000",
			Credential: identity.Credential{Serial: "3f8a11c29d"},
		},
		Method: "POST",
		Path:   path,
		Call: &engineapi.Call{
			Route:   &engineapi.Route{Operation: "ContainerCreate", Verb: "container.create"},
			Version: "1.45",
			Objects: []engineapi.Object{{Kind: "container", Name: "web"}},
			Facts:   []engineapi.Fact{{Kind: "image.use", Value: "nginx"}, {Kind: "port.publish", Value: "8080/tcp"}},
		},
		Decision: policy.Decision{Effect: policy.Allow, Reason: `role "owner" may do everything`, Grant: "owner: *"},
	}
}

func TestConcurrentWritersAreAllRecorded(t *testing.T) {
	dir := t.TempDir()
	trail := openTrail(t, Config{Dir: dir, SegmentSize: 64 << 10})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 20 {
				h, err := trail.Begin(context.Background(), testIntent(fmt.Sprintf("/%d/%d", i, j)), Durability(j%2))
				if err != nil {
					t.Error(err)
					return
				}
				h.End(Result{Status: 201})
			}
		})
	}
	wg.Wait()
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkWritten(b *testing.B) {
	trail := openTrail(b, Config{Dir: b.TempDir()})
	in := testIntent("/v1.45/containers/create")
	b.ReportAllocs()
	for b.Loop() {
		h, err := trail.Begin(context.Background(), in, Written)
		if err != nil {
			b.Fatal(err)
		}
		h.End(Result{Status: 201, In: 100, Out: 200, Duration: 1234567})
	}
}

// BenchmarkDurable64 is 64 writers that each wait for their fsync.
func BenchmarkDurable64(b *testing.B) {
	trail := openTrail(b, Config{Dir: b.TempDir()})
	in := testIntent("/v1.45/containers/create")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := trail.Begin(context.Background(), in, Durable); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
