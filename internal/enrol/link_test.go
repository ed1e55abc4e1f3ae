package enrol

import (
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

const (
	testSecret = "Zt3rV0rK0aT1x2c3v4b5n6m7q8w"
	testPrint  = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	ticket     = "#k7q2mx." + testSecret + "." + testPrint
)

func TestParseLink(t *testing.T) {
	for name, row := range map[string]struct{ text, host string }{
		"plain":           {"https://prod.example:2376" + ticket, "prod.example:2376"},
		"without a port":  {"https://prod.example" + ticket, "prod.example:2376"},
		"with a slash":    {"https://prod.example:2376/" + ticket, "prod.example:2376"},
		"address":         {"https://192.0.2.7:443" + ticket, "192.0.2.7:443"},
		"IPv6":            {"https://[2001:db8::1]:2376" + ticket, "[2001:db8::1]:2376"},
		"upper case":      {"https://PROD.example:2376" + ticket, "prod.example:2376"},
		"pasted newlines": {" https://prod.example:2376" + ticket + "\r\n", "prod.example:2376"},
	} {
		l, err := ParseLink(row.text)
		want := Link{Host: row.host, ID: "k7q2mx", Secret: testSecret, Fingerprint: testPrint}
		if err != nil || l != want {
			t.Errorf("%s: ParseLink = %+v, %v, want %+v", name, l, err, want)
		}
		if again, err := ParseLink(l.String()); err != nil || again != l {
			t.Errorf("%s: it reads back as %+v, %v", name, again, err)
		}
	}
}

func TestParseLinkSaysWhatIsWrong(t *testing.T) {
	for name, row := range map[string]struct{ text, sentence string }{
		"eaten by the shell":    {"https://prod.example:2376", "the part after '#' is missing"},
		"nothing after #":       {"https://prod.example:2376#", "the part after '#' is missing"},
		"plain http":            {"http://prod.example:2376" + ticket, "does not begin with https://"},
		"docker's scheme":       {"tcp://prod.example:2376" + ticket, "does not begin with https://"},
		"no scheme":             {"prod.example:2376" + ticket, "has no readable host"},
		"no host":               {"https://" + ticket, "has no readable host"},
		"control character":     {"https://prod\x07.example" + ticket, "has no readable host"},
		"a user":                {"https://ana@prod.example" + ticket, "there is more than a port"},
		"a path":                {"https://prod.example/x" + ticket, "there is more than a port"},
		"a query":               {"https://prod.example?x" + ticket, "there is more than a port"},
		"port 0":                {"https://prod.example:0" + ticket, "port is not between"},
		"port 99999":            {"https://prod.example:99999" + ticket, "port is not between"},
		"two parts":             {"https://prod.example#k7q2mx." + testSecret, "wants three parts after '#', separated by dots, and has 2"},
		"four parts":            {"https://prod.example" + ticket + ".x", "and has 4"},
		"bad id":                {"https://prod.example#../x." + testSecret + "." + testPrint, "and has 5"},
		"upper-case id":         {"https://prod.example#K7." + testSecret + "." + testPrint, "is not an invite's id"},
		"short secret":          {"https://prod.example#k7q2mx." + testSecret[:10] + "." + testPrint, "the secret, is cut short"},
		"odd secret":            {"https://prod.example#k7q2mx." + testSecret[:26] + "!." + testPrint, "the secret, is cut short"},
		"long secret":           {"https://prod.example#k7q2mx." + strings.Repeat("A", 200) + "." + testPrint, "the secret, is cut short"},
		"short fingerprint":     {"https://prod.example#k7q2mx." + testSecret + "." + testPrint[:42], "the fingerprint, is cut short"},
		"odd fingerprint":       {"https://prod.example#k7q2mx." + testSecret + "." + testPrint[:42] + "V", "the fingerprint, is cut short"},
		"quote left at the end": {"https://prod.example" + ticket + "'", "the fingerprint, is cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ParseLink(row.text)
			if l != (Link{}) || problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), row.sentence) {
				t.Errorf("ParseLink = %+v, %v, want %q", l, err, row.sentence)
			}
			p := problem.Of(err)
			if strings.Contains(p.Error()+p.Hint, testSecret[:8]) {
				t.Errorf("the error repeats the secret: %v", err)
			}
			if !strings.Contains(p.Hint, "pierhead enrol 'https://...'") {
				t.Errorf("hint = %q", p.Hint)
			}
		})
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("https://prod.example:2376" + ticket)
	f.Add("https://[::1]#a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			return
		}
		if again, err := ParseLink(l.String()); err != nil || again != l {
			t.Errorf("%q reads as %+v, which reads back as %+v, %v", s, l, again, err)
		}
	})
}
