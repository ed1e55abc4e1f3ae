package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What go test -json said of a package with a test that passed, one that failed, one that was skipped, and one that was under way
// when the package died.
const events = `{"Action":"start","Package":"example/p"}
{"Action":"run","Package":"example/p","Test":"TestGood"}
{"Action":"output","Package":"example/p","Test":"TestGood","Output":"    p_test.go:5: chatter\n"}
{"Action":"pass","Package":"example/p","Test":"TestGood","Elapsed":0}
{"Action":"run","Package":"example/p","Test":"TestBad"}
{"Action":"output","Package":"example/p","Test":"TestBad","Output":"    p_test.go:9: got 1, want 2\n"}
{"Action":"output","Package":"example/p","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"example/p","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"example/p","Test":"TestAbsent","Output":"    p_test.go:13: no engine here\n"}
{"Action":"output","Package":"example/p","Test":"TestAbsent","Output":"--- SKIP: TestAbsent (0.00s)\n"}
{"Action":"skip","Package":"example/p","Test":"TestAbsent","Elapsed":0}
{"Action":"output","Package":"example/p","Test":"TestDying","Output":"panic: boom\n"}
{"Action":"output","Package":"example/p","Output":"FAIL\texample/p\t0.002s\n"}
{"Action":"fail","Package":"example/p","Elapsed":0.002}
{"Action":"output","Package":"example/q","Output":"PASS\n"}
{"Action":"output","Package":"example/q","Output":"ok  \texample/q\t0.001s\n"}
{"Action":"pass","Package":"example/q","Elapsed":0.001}
`

const printed = `    p_test.go:9: got 1, want 2
--- FAIL: TestBad (0.00s)
FAIL	example/p	0.002s
--- DIED: TestDying
panic: boom
ok  	example/q	0.001s

!!! SKIPPED: these tests did not run, and prove nothing
!!! because no engine here:
!!!   example/p.TestAbsent

1 passed, 2 failed, 1 skipped
`

func TestSummary(t *testing.T) {
	var out strings.Builder
	sum := summary{out: &out}
	if err := read(strings.NewReader(events), &sum); err != nil {
		t.Fatal(err)
	}
	sum.print()
	if diff := cmp.Diff(printed, out.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestGarbledEventsAreAnError(t *testing.T) {
	sum := summary{out: &strings.Builder{}}
	if err := read(strings.NewReader(`{"Action":"pass"}`+"\nnot json"), &sum); err == nil {
		t.Error("garbled events were taken for the end")
	}
}
