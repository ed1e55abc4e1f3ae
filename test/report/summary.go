package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Output     string
}

// testID names one test of one package; the package's own output has no test.
type testID struct{ pkg, test string }

// summary gathers events and prints what people want to know of them.
type summary struct {
	out            io.Writer
	passed, failed int
	skips          map[string][]string     // reason -> tests
	output         map[testID][]string     // of tests that still run
	broken         map[string][]testOutput // of a package's tests that failed, until the package ends
}

type testOutput struct {
	test  string
	lines []string
}

func (s *summary) add(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.say("%s", e.Output)
	case "output":
		if s.output == nil {
			s.output = map[testID][]string{}
		}
		s.output[id] = append(s.output[id], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
		delete(s.output, id)
	}
}

func (s *summary) endTest(e event) {
	lines := s.output[testID{e.Package, e.Test}]
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		if s.broken == nil {
			s.broken = map[string][]testOutput{}
		}
		s.broken[e.Package] = append(s.broken[e.Package], testOutput{e.Test, lines})
	case "skip":
		if s.skips == nil {
			s.skips = map[string][]string{}
		}
		why := reason(lines)
		s.skips[why] = append(s.skips[why], e.Package+"."+e.Test)
	}
}

// endPackage prints the package's line, and before it all that its failed tests printed, parents last as they ended.
func (s *summary) endPackage(e event) {
	for _, t := range s.broken[e.Package] {
		for _, line := range t.lines {
			s.say("%s", line)
		}
	}
	delete(s.broken, e.Package)
	lines := s.output[testID{e.Package, ""}]
	if e.Action != "fail" && len(lines) > 0 {
		lines = lines[len(lines)-1:] // "ok  	package	0.1s"; its PASS says the same
	}
	for _, line := range lines {
		s.say("%s", line)
	}
	if e.Action == "fail" {
		s.unfinished(e.Package)
	}
}

// unfinished prints the tests that were under way when the package died, as in a panic or a time-out.
func (s *summary) unfinished(pkg string) {
	for id, lines := range s.output {
		if id.pkg != pkg || id.test == "" {
			continue
		}
		s.failed++
		s.say("--- DIED: %s\n", id.test)
		for _, line := range lines {
			s.say("%s", line)
		}
		delete(s.output, id)
	}
}

// skipLine is what t.Skip prints: "    file_test.go:12: the reason".
var skipLine = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: (.*)$`)

func reason(lines []string) string {
	var why []string
	for _, line := range lines {
		if m := skipLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			why = append(why, m[1])
		}
	}
	if len(why) == 0 {
		return "no reason given"
	}
	return strings.Join(why, "; ")
}

func (s *summary) print() {
	skipped := 0
	for _, tests := range s.skips {
		skipped += len(tests)
	}
	if skipped > 0 {
		s.say("\n!!! SKIPPED: these tests did not run, and prove nothing\n")
	}
	for _, why := range sortedKeys(s.skips) {
		s.say("!!! because %s:\n", why)
		for _, test := range s.skips[why] {
			s.say("!!!   %s\n", test)
		}
	}
	s.say("\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, skipped)
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// say prints; that nobody reads any longer is no reason to stop testing.
func (s *summary) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }
