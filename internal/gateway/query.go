package gateway

import (
	"net/url"
	"strings"

	"github.com/pierhead/pierhead/internal/problem"
)

// rebuildQuery reads a query and writes it anew, so that the engine can't read another than we did: a parameter said twice, a semicolon
// and a malformed escape are refused.
func rebuildQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil || strings.Contains(raw, ";") {
		return "", problem.Wrap(err, problem.Invalid, "this request's query can't be read")
	}
	for name, v := range values {
		if len(v) != 1 {
			return "", problem.New(problem.Invalid, "this request says %q %d times in its query", name, len(v))
		}
	}
	return "?" + values.Encode(), nil
}
