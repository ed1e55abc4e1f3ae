package problem

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestZeroKindIsInternalAndSaysNothing(t *testing.T) {
	e := &Error{Message: "open /etc/shadow: denied", Hint: "look there"}
	if e.Kind.Status() != 500 {
		t.Errorf("status = %d, want 500", e.Kind.Status())
	}
	body := string(e.Body("r-81c2"))
	if strings.Contains(body, "shadow") || strings.Contains(body, "look") {
		t.Errorf("an internal error leaks its words: %s", body)
	}
	if !strings.Contains(body, "reference r-81c2") {
		t.Errorf("no reference in %s", body)
	}
}

func TestBodyCarriesSentenceAndHint(t *testing.T) {
	e := New(Forbidden, "ana may not run %q", "x").WithHint("ask an owner")
	want := `{"message":"ana may not run \"x\"\nhint: ask an owner"}` + "\n"
	if got := string(e.Body("")); got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
}

func TestOfFindsThroughWrapping(t *testing.T) {
	p := New(NotFound, "no such context")
	if got := Of(fmt.Errorf("read: %w", p)); got != p {
		t.Errorf("Of = %v, want the wrapped problem", got)
	}
	cause := errors.New("boom")
	if got := Of(cause); got.Kind != Internal || !errors.Is(got, cause) {
		t.Errorf("Of(plain) = %#v, want internal with its cause", got)
	}
	if Of(nil) != nil {
		t.Error("Of(nil) is not nil")
	}
	if Kind(200).Status() != 500 || Kind(200).String() != "internal" {
		t.Error("an unknown kind is not internal")
	}
}
