package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is the outcome of a run.
type report struct {
	Machine string `json:"machine"`
	Rounds  int    `json:"rounds"`
	Skipped string `json:"skipped,omitempty"` // why there is no real engine
	Rows    []row  `json:"rows"`
}

// row is one measure of one workload.
type row struct {
	Engine   string             `json:"engine"`
	Workload string             `json:"workload"`
	Measure  string             `json:"measure"`
	Unit     string             `json:"unit"`
	Against  string             `json:"against,omitempty"`
	Goal     string             `json:"goal,omitempty"`
	Pierhead *figure            `json:"pierhead,omitempty"` // the ratio, or the number itself where it is against nobody
	Verdict  string             `json:"verdict,omitempty"`  // holds or misses; empty without a goal
	Absolute map[string]float64 `json:"absolute"`           // medians, by contestant
}

// outcome is what a workload's rounds gave, by contestant; a round that failed is missing in none and NaN in values.
type outcome map[string][]sample

func machine() string {
	return fmt.Sprintf("%d processors, %s %s", runtime.NumCPU(), runtime.Version(), runtime.GOARCH)
}

// rowsOf evaluates a workload's measures.
func rowsOf(engine string, w workload, got outcome) []row {
	var rows []row
	for _, m := range w.measures {
		rows = append(rows, m.row(engine, w.name, got))
	}
	return rows
}

func (m measure) row(engine, name string, got outcome) row {
	r := row{Engine: engine, Workload: name, Measure: m.name, Unit: m.unit, Against: m.against, Absolute: map[string]float64{}}
	for who, samples := range got {
		if f := summarize(m.values(samples)); !math.IsNaN(f.Median) {
			r.Absolute[who] = f.Median
		}
	}
	if m.goal.kind != "" {
		r.Goal = m.goal.kind + " " + strconv.FormatFloat(m.goal.bound, 'f', -1, 64)
	}
	values := m.values(got[pierheadName])
	if m.against != "" {
		values = ratios(values, m.values(got[m.against]))
	}
	f := summarize(values)
	if math.IsNaN(f.Median) {
		return r
	}
	r.Pierhead = &f
	if m.goal.kind != "" {
		r.Verdict = map[bool]string{true: "holds", false: "misses"}[m.goal.holds(f.Median)]
	}
	return r
}

func (m measure) values(samples []sample) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = math.NaN()
		if !s.failed {
			out[i] = m.of(s)
		}
	}
	return out
}

func (r report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// table prints the report for people.
func (r report) table(w io.Writer, contestants []string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "ENGINE\tWORKLOAD\tMEASURE\tAGAINST\tGOAL\tPIERHEAD\tSPREAD\tVERDICT\tUNIT\t%s\n", strings.ToUpper(strings.Join(contestants, "\t")))
	for _, row := range r.Rows {
		ours, spread := "-", "-"
		if row.Pierhead != nil {
			ours, spread = short(row.Pierhead.Median), short(row.Pierhead.Min)+"..."+short(row.Pierhead.Max)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", row.Engine, row.Workload, row.Measure,
			dash(row.Against), dash(row.Goal), ours, spread, dash(row.Verdict), dash(row.Unit))
		for _, name := range contestants {
			cell := "-"
			if v, ok := row.Absolute[name]; ok {
				cell = short(v)
			}
			fmt.Fprintf(tw, "\t%s", cell)
		}
		fmt.Fprintln(tw)
	}
	fmt.Fprintf(tw, "\n%s; %d rounds; median of the ratios, round by round\n", r.Machine, r.Rounds)
	if r.Skipped != "" {
		fmt.Fprintf(tw, "SKIPPED the real engine: %s\n", r.Skipped)
	}
	return tw.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// short prints a number with three digits that matter.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
