package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// cpu makes the samples of a contestant from processor times for one piece of work, in microseconds, by round; 0 is a failed round.
func cpu(us ...int) (samples []sample) {
	for _, n := range us {
		samples = append(samples, sample{ops: 1, cpu: time.Duration(n) * time.Microsecond, failed: n == 0})
	}
	return samples
}

func TestRowsCompareRoundByRound(t *testing.T) {
	ping := workload{name: "ping", measures: []measure{processor(atMost(0.55))}}
	for _, tc := range []struct {
		name    string
		got     outcome
		ours    *figure
		verdict string
	}{
		{"holds", outcome{naiveName: cpu(100, 400, 100), pierheadName: cpu(50, 160, 60)}, &figure{0.5, 0.4, 0.6}, "holds"},
		{"misses", outcome{naiveName: cpu(100, 100), pierheadName: cpu(75, 75)}, &figure{0.75, 0.75, 0.75}, "misses"},
		{"a failed round is left out", outcome{naiveName: cpu(100, 100), pierheadName: cpu(0, 40)}, &figure{0.4, 0.4, 0.4}, "holds"},
		{"no Pierhead, no verdict", outcome{naiveName: cpu(100)}, nil, ""},
		{"nothing to compare with, no verdict", outcome{pierheadName: cpu(40)}, nil, ""},
		{"not run", nil, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			row := rowsOf("canned", ping, tc.got)[0]
			if row.Verdict != tc.verdict || row.Goal != "<= 0.55" || (row.Pierhead == nil) != (tc.ours == nil) {
				t.Errorf("row = %+v", row)
			}
			if tc.ours != nil && *row.Pierhead != *tc.ours {
				t.Errorf("ratio = %v, want %v", *row.Pierhead, *tc.ours)
			}
		})
	}
}

func TestGoals(t *testing.T) {
	for _, tc := range []struct {
		name  string
		goal  goal
		value float64
		want  bool
	}{
		{"at most, equal", atMost(2), 2, true},
		{"at most, over", atMost(2), 2.1, false},
		{"at most none", atMost(0), 1, false},
		{"at least, under", atLeast(0.45), 0.44, false},
		{"at least, over", atLeast(0.45), 0.5, true},
		{"no goal", goal{}, 99, true},
	} {
		if got := tc.goal.holds(tc.value); got != tc.want {
			t.Errorf("%s: holds = %v", tc.name, got)
		}
	}
}

func TestReportPrintsBothForms(t *testing.T) {
	r := report{Machine: "a machine", Rounds: 2, Rows: rowsOf("canned", workload{name: "ping", measures: []measure{processor(atMost(0.55))}},
		outcome{naiveName: cpu(100, 100), pierheadName: cpu(50, 40)})}
	var text, encoded bytes.Buffer
	if err := r.table(&text, []string{directName, naiveName, pierheadName}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(strings.Split(text.String(), "\n")[1]), " "); got !=
		"canned ping processor time naive <= 0.55 0.45 0.40...0.50 holds us/op - 100 45.0" {
		t.Errorf("row = %q", got)
	}
	if err := r.json(&encoded); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(encoded.Bytes(), &back); err != nil || len(back.Rows) != 1 || back.Rows[0].Absolute[naiveName] != 100 {
		t.Errorf("the JSON reads back as %+v, %v", back, err)
	}
}
