package gateway

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	rows := []struct{ name, in, want string }{
		{"variables", `{"Config":{"Env":["A=secret","B=","C"],"Cmd":["A=kept"]}}`, `{"Config":{"Env":["A=[redacted]","B=[redacted]","C"],"Cmd":["A=kept"]}}`},
		{"variable with equals", `{"Env":["A=x=y"]}`, `{"Env":["A=[redacted]"]}`},
		{"no environment", `{"Config":{"Env":null}}`, `{"Config":{"Env":null}}`},
		{"a service's, and its earlier one", `[{"Spec":{"TaskTemplate":{"ContainerSpec":{"Env":["A=s"]}}},"PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Env":["A=t"]}}}}]`,
			`[{"Spec":{"TaskTemplate":{"ContainerSpec":{"Env":["A=[redacted]"]}}},"PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Env":["A=[redacted]"]}}}}]`},
		{"a plugin's", `{"Settings":{"Env":["A=s"]},"Config":{"Env":[{"Name":"A","Settable":["value"],"Value":"s"}]}}`,
			`{"Settings":{"Env":["A=[redacted]"]},"Config":{"Env":[{"Name":"A","Settable":["value"],"Value":"[redacted]"}]}}`},
		{"log driver's settings", `{"HostConfig":{"LogConfig":{"Type":"splunk","Config":{"splunk-token":"s"}}}}`,
			`{"HostConfig":{"LogConfig":{"Type":"splunk","Config":{"splunk-token":"[redacted]"}}}}`},
		{"a volume's options", `{"Options":{"type":"cifs","o":"username=a,password=s"},"Mountpoint":"/v"}`, `{"Options":{"type":"[redacted]","o":"[redacted]"},"Mountpoint":"/v"}`},
		{"join tokens", `{"ID":"x","JoinTokens":{"Worker":"SWMTKN-s","Manager":"SWMTKN-s"}}`, `{"ID":"x","JoinTokens":{"Worker":"[redacted]","Manager":"[redacted]"}}`},
		{"a config's data", `[{"Spec":{"Name":"c","Data":"c2VjcmV0"}}]`, `[{"Spec":{"Name":"c","Data":"W3JlZGFjdGVkXQ=="}}]`},
		{"CA key", `{"Spec":{"CAConfig":{"SigningCAKey":"s","ExternalCAs":[{"URL":"https://s","Options":{"a":"s"}}]}}}`,
			`{"Spec":{"CAConfig":{"SigningCAKey":"[redacted]","ExternalCAs":[{"URL":"[redacted]","Options":{"a":"[redacted]"}}]}}}`},
		{"a plugin's, in a service", `{"TaskTemplate":{"PluginSpec":{"name":"p","env":["A=s"]}}}`, `{"TaskTemplate":{"PluginSpec":{"name":"p","env":["A=[redacted]"]}}}`},
		{"a plugin's arguments", `{"Settings":{"Args":["s"]},"Config":{"Args":{"Name":"args","Value":["s"]},"Entrypoint":["kept"]}}`,
			`{"Settings":{"Args":["[redacted]"]},"Config":{"Args":{"Name":"args","Value":["[redacted]"]},"Entrypoint":["kept"]}}`},
		{"a container's arguments", `{"Path":"sh","Args":["-c"],"NetworkSettings":{"Ports":{}}}`, `{"Path":"sh","Args":["-c"],"NetworkSettings":{"Ports":{}}}`},
		{"build arguments", `{"ContainerConfig":{"Cmd":["|1","TOKEN=s"],"Tty":false},"Config":{"Cmd":["sh"]}}`,
			`{"ContainerConfig":{"Cmd":["[redacted]","[redacted]"],"Tty":false},"Config":{"Cmd":["sh"]}}`},
		{"what a health check prints", `{"State":{"Status":"running","Health":{"Status":"healthy","Log":[{"Start":"2026-11-25T00:00:00Z","ExitCode":0,"Output":"s"}]}}}`,
			`{"State":{"Status":"running","Health":{"Status":"healthy","Log":[{"Start":"2026-11-25T00:00:00Z","ExitCode":0,"Output":"[redacted]"}]}}}`},
		{"a volume driver's status", `{"Volumes":[{"Name":"v","Status":{"token":"s","nodes":[{"State":"s"}]}}]}`,
			`{"Volumes":[{"Name":"v","Status":{"token":"[redacted]","nodes":[{"State":"[redacted]"}]}}]}`},
		{"a task's status", `[{"Status":{"Timestamp":"t","State":"failed","Message":"started","Err":"e","ContainerStatus":{"ContainerID":"c"},"PortStatus":{"Ports":[{"Protocol":"tcp"}]}}}]`,
			`[{"Status":{"Timestamp":"t","State":"failed","Message":"started","Err":"e","ContainerStatus":{"ContainerID":"c"},"PortStatus":{"Ports":[{"Protocol":"tcp"}]}}}]`},
		{"a credential spec", `{"Privileges":{"CredentialSpec":{"Config":"s","File":"s","Registry":"s"}}}`,
			`{"Privileges":{"CredentialSpec":{"Config":"[redacted]","File":"[redacted]","Registry":"[redacted]"}}}`},
		{"a runtime's options", `{"Runtimes":{"crun":{"path":"crun","options":{"TypeUrl":"s"}}}}`, `{"Runtimes":{"crun":{"path":"crun","options":{"TypeUrl":"[redacted]"}}}}`},
		{"passwords in URLs", `{"RegistryConfig":{"Mirrors":["https://m.example/","https://u:s@m.example/a","u:s@m.example"]},"HttpProxy":"http://u:s@p.example:3128","HttpsProxy":""}`,
			`{"RegistryConfig":{"Mirrors":["https://m.example/","https://redacted@m.example/a","[redacted]"]},"HttpProxy":"http://redacted@p.example:3128","HttpsProxy":""}`},
		{"networks named like secrets", `{"Networks":{"data":{"IPAddress":"10.0.0.2","Options":"s"},"env":{"IPAddress":"10.0.0.3"}}}`,
			`{"Networks":{"data":{"IPAddress":"10.0.0.2","Options":"[redacted]"},"env":{"IPAddress":"10.0.0.3"}}}`},
		{"what is no secret", `{"Name":"web","Size":12345678901234567890,"Up":true,"Labels":{"Env":"prod","data":"x"},"Networks":{"Data":null}}`,
			`{"Name":"web","Size":12345678901234567890,"Up":true,"Labels":{"Env":"prod","data":"x"},"Networks":{"Data":null}}`},
		{"names like values", `{"Options":{"Options":{"Options":"s"}}}`, `{"Options":{"Options":{"Options":"[redacted]"}}}`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, err := redact([]byte(r.in))
			if err != nil || strings.TrimSpace(string(got)) != r.want {
				t.Errorf("%s, %v\nwant %s", got, err, r.want)
			}
		})
	}
}

// TestRedactRefusesWhatItCantRead: an answer that is not understood is not passed on.
func TestRedactRefusesWhatItCantRead(t *testing.T) {
	for _, in := range []string{"", "{", `{"Env":["A=s"`, `{"a":1,"a":2}`, "plain text", `{"Env":["A=s"]}{"Env":["A=s"]}`} {
		if got, err := redact([]byte(in)); err == nil {
			t.Errorf("%q became %q", in, got)
		}
	}
}

// FuzzRedact holds that no secret passes wherever it stands, and that the rest means what it meant.
func FuzzRedact(f *testing.F) {
	f.Add(`{"a":[1,{"Env":["A=hunter2"]}],"b":"c"}`)
	f.Add(`{"env":["A=hunter2"],"Status":{"a":["b"],"State":{"Status":"c"}},"Networks":{"data":{"data":"c"}},"Mirrors":["http://a@b/"]}`)
	f.Fuzz(func(t *testing.T, in string) {
		out, err := redact([]byte(in))
		if err != nil {
			return
		}
		var before, after any
		if json.Unmarshal([]byte(in), &before) != nil {
			return // a number out of encoding/json's range
		}
		if json.Unmarshal(out, &after) != nil {
			t.Fatalf("%q became %q", in, out)
		}
		hide(before, "", "")
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q", in, out)
		}
	})
}

// hide is the same rule, over a tree.
func hide(v any, parent, name string) any {
	switch v := v.(type) {
	case string:
		return hideWithin(name, v)
	case []any:
		for i := range v {
			v[i] = hide(v[i], parent, name)
		}
	case map[string]any:
		for k := range v {
			if lower := strings.ToLower(k); secret(name, lower) {
				v[k] = hideStrings(v[k], standIn(lower))
			} else {
				v[k] = hide(v[k], name, lower)
			}
		}
	}
	return v
}

func hideStrings(v any, instead string) any {
	switch v := v.(type) {
	case string:
		return instead
	case []any:
		for i := range v {
			v[i] = hideStrings(v[i], instead)
		}
	case map[string]any:
		for k := range v {
			v[k] = hideStrings(v[k], instead)
		}
	}
	return v
}

func TestRebuildQuery(t *testing.T) {
	rows := []struct{ name, in, want, words string }{
		{"none", "", "", ""},
		{"sorted and escaped", "b=%31&a=x%20y", "?a=x+y&b=1", ""},
		{"empty value", "all", "?all=", ""},
		{"twice", "a=1&a=2", "", `says "a" 2 times`},
		{"twice in other escapes", "a=1&%61=2", "", `says "a" 2 times`},
		{"semicolon", "a=1;b=2", "", "can't be read"},
		{"bad escape", "a=%zz", "", "can't be read"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, err := rebuildQuery(r.in)
			if got != r.want || (err == nil) != (r.words == "") || err != nil && !strings.Contains(err.Error(), r.words) {
				t.Errorf("%q, %v; want %q, %s", got, err, r.want, r.words)
			}
		})
	}
}
