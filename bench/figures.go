package main

import (
	"math"
	"slices"
)

// figure is one number over the rounds.
type figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summarize takes what was measured in each round; NaN stands for a round without it.
func summarize(values []float64) figure {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(sorted) == 0 {
		return figure{math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(sorted)
	return figure{quantile(sorted, 0.5), sorted[0], sorted[len(sorted)-1]}
}

// quantile is the q-quantile of sorted values, interpolated between neighbours.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// ratios divides round by round: what disturbs the machine in a round disturbs both numbers of it.
func ratios(values, base []float64) []float64 {
	out := make([]float64, min(len(values), len(base)))
	for i := range out {
		out[i] = math.NaN()
		if base[i] > 0 {
			out[i] = values[i] / base[i]
		}
	}
	return out
}
