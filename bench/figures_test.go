package main

import (
	"math"
	"slices"
	"testing"
)

func TestSummarize(t *testing.T) {
	nan := math.NaN()
	for _, tc := range []struct {
		name   string
		values []float64
		want   figure
	}{
		{"odd", []float64{3, 1, 2}, figure{2, 1, 3}},
		{"even", []float64{4, 1, 2, 3}, figure{2.5, 1, 4}},
		{"one", []float64{7}, figure{7, 7, 7}},
		{"a round failed", []float64{nan, 5, 3}, figure{4, 3, 5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := summarize(tc.values); got != tc.want {
				t.Errorf("summarize(%v) = %v, want %v", tc.values, got, tc.want)
			}
		})
	}
	if got := summarize([]float64{nan}); !math.IsNaN(got.Median) {
		t.Errorf("the summary of nothing is %v", got)
	}
}

func TestQuantile(t *testing.T) {
	sorted := []float64{10, 20, 30, 40, 50}
	for q, want := range map[float64]float64{0: 10, 0.5: 30, 0.875: 45, 1: 50} {
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestRatiosArePairedByRound(t *testing.T) {
	got := ratios([]float64{1, 4, 3, 9}, []float64{2, 2, 0, math.NaN()})
	if want := []float64{0.5, 2}; !slices.Equal(got[:2], want) {
		t.Errorf("ratios = %v, want %v first", got, want)
	}
	if !math.IsNaN(got[2]) || !math.IsNaN(got[3]) {
		t.Errorf("a round without a base has the ratio %v and %v", got[2], got[3])
	}
}
