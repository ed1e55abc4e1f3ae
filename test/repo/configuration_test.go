package repo

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/server"
)

// sample is a fenced block of YAML.
var sample = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every configuration that people are shown is one that the server takes.
func TestEveryConfigurationShownIsTaken(t *testing.T) {
	samples := map[string]string{"packaging/pierhead.yml": readFile(t, "packaging/pierhead.yml")}
	for _, doc := range []string{"README.md", "docs/configuration.md"} {
		for _, m := range sample.FindAllStringSubmatch(readFile(t, doc), -1) {
			samples[doc] += m[1]
		}
		if samples[doc] == "" {
			t.Errorf("%s shows no configuration", doc)
		}
	}
	for name, text := range samples {
		cfg, err := server.ParseConfig(name, []byte(text))
		if err == nil {
			err = cfg.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What stands there as a comment is meant to be used as well.
	uncommented := regexp.MustCompile(`(?m)^# ([a-z]+: )`).ReplaceAllString(samples["packaging/pierhead.yml"], "$1")
	if _, err := server.ParseConfig("packaging/pierhead.yml", []byte(uncommented)); err != nil || !strings.Contains(uncommented, "\nengine:") {
		t.Errorf("packaging/pierhead.yml with its comments taken away: %v", err)
	}
}
