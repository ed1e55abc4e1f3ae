package identity

import (
	"context"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, good := range []string{"ana", "ci@shop", "a", "0", "web-1.prod_x", strings.Repeat("a", 64)} {
		if n, err := ParseName(good); err != nil || n.String() != good {
			t.Errorf("ParseName(%q) = %v, %v", good, n, err)
		}
	}
	bad := map[string]string{
		"empty": "", "upper case": "Ana", "space": "a b", "two ats": "a@b@c", "leading dot": ".a", "leading dash": "-a",
		"empty part": "@a", "trailing at": "a@", "slash": "a/b", "newline": "a\n", "unicode": "anä", "too long": strings.Repeat("a", 65),
		"NUL": "a\x00", "percent": "a%2f", "option after at": "a@-b",
	}
	for name, s := range bad {
		if n, err := ParseName(s); err == nil || !n.IsZero() {
			t.Errorf("%s: ParseName(%q) = %v, want an error and nobody", name, s, n)
		}
	}
}

func TestContextWithoutDoorIsNobody(t *testing.T) {
	if id := FromContext(context.Background()); !id.IsZero() {
		t.Errorf("FromContext = %v, want nobody", id)
	}
	id := Identity{Name: MustName("ana")}
	if got := FromContext(NewContext(context.Background(), &id)); got != id {
		t.Errorf("FromContext = %v, want %v", got, id)
	}
	if got := FromContext(NewContext(context.Background(), nil)); !got.IsZero() {
		t.Errorf("a nil identity is %v, want nobody", got)
	}
}

func TestNameText(t *testing.T) {
	var n Name
	if err := n.UnmarshalText([]byte("No")); err == nil {
		t.Error("UnmarshalText took an upper-case name")
	}
	if err := n.UnmarshalText([]byte("ana")); err != nil || n.String() != "ana" {
		t.Errorf("UnmarshalText = %v, %v", n, err)
	}
}
