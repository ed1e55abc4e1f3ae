package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A demo that shows something else than it says must end with an error: that is what makes it a proof.
func TestTheFirstSurpriseEndsThePlay(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*stage)
		want string // in the error; empty for none
	}{
		{"works", func(s *stage) { s.works("echo hello", "hello") }, ""},
		{"refused with its words", func(s *stage) { s.refused("echo no; exit 1", "no") }, ""},
		{"works, but should not", func(s *stage) { s.refused("true") }, "it succeeded"},
		{"fails", func(s *stage) { s.works("exit 3") }, "exit status 3"},
		{"works with other words", func(s *stage) { s.works("echo hello", "goodbye") }, `should have "goodbye"`},
		{"refused with other words", func(s *stage) { s.refused("echo oops; exit 1", "hint:") }, `should have "hint:"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := os.Create(filepath.Join(dir, "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = out.Close() }() // only read below
			s := newStage(t.Context(), dir, out)
			tt.play(s)
			s.works("touch went-on")
			_, statErr := os.Stat(filepath.Join(dir, "went-on"))
			if wentOn := statErr == nil; wentOn != (tt.want == "") {
				t.Errorf("it went on: %v", wentOn)
			}
			if tt.want == "" && s.err != nil || tt.want != "" && (s.err == nil || !strings.Contains(s.err.Error(), tt.want)) {
				t.Errorf("err = %v, want %q", s.err, tt.want)
			}
		})
	}
}
