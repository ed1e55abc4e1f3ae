package engineapi

import (
	"slices"
	"testing"
)

func TestRead(t *testing.T) {
	const none = Operation("")
	rows := []struct {
		name, method, path string
		operation          Operation
		objects            []Object
		odd                string
	}{
		{"list", "GET", "/containers/json", "ContainerList", nil, ""},
		{"versioned list", "GET", "/v1.45/containers/json", "ContainerList", nil, ""},
		{"inspect", "GET", "/containers/web/json", "ContainerInspect", []Object{{"container", "web"}}, ""},
		{"container named json", "GET", "/containers/json/json", "ContainerInspect", []Object{{"container", "json"}}, ""},
		{"container named create", "POST", "/containers/create/start", "ContainerStart", []Object{{"container", "create"}}, ""},
		{"container named attach", "GET", "/containers/attach/json", "ContainerInspect", []Object{{"container", "attach"}}, ""},
		{"delete one named json", "DELETE", "/containers/json", "ContainerDelete", []Object{{"container", "json"}}, ""},
		{"network named create", "GET", "/networks/create", "NetworkInspect", []Object{{"network", "create"}}, ""},
		{"networks with a slash", "GET", "/networks/", "NetworkList", nil, ""},
		{"volume named prune", "GET", "/volumes/prune", "VolumeInspect", []Object{{"volume", "prune"}}, ""},
		{"attach over websocket", "GET", "/containers/web/attach/ws", "ContainerAttachWebsocket", []Object{{"container", "web"}}, ""},
		{"checkpoint", "DELETE", "/containers/web/checkpoints/c1", "CheckpointDelete", []Object{{"container", "web"}, {"checkpoint", "c1"}}, ""},
		{"image of several segments", "GET", "/images/registry.example:5000/a/b:1/json", "ImageInspect", []Object{{"image", "registry.example:5000/a/b:1"}}, ""},
		{"image with a digest", "GET", "/images/app@sha256:0a/history", "ImageHistory", []Object{{"image", "app@sha256:0a"}}, ""},
		{"image with an escaped digest", "GET", "/images/app%40sha256:0a/json", "ImageInspect", []Object{{"image", "app@sha256:0a"}}, ""},
		{"image named json", "DELETE", "/images/json", "ImageDelete", []Object{{"image", "json"}}, ""},
		{"image a/json", "DELETE", "/images/a/json", "ImageDelete", []Object{{"image", "a/json"}}, ""},
		{"image named get", "GET", "/images/get/json", "ImageInspect", []Object{{"image", "get"}}, ""},
		{"image a/get", "GET", "/images/a/get/json", "ImageInspect", []Object{{"image", "a/get"}}, ""},
		{"distribution", "GET", "/distribution/a/b/json", "DistributionInspect", []Object{{"image", "a/b"}}, ""},
		{"plugin", "POST", "/plugins/a/b:1/enable", "PluginEnable", []Object{{"plugin", "a/b:1"}}, ""},
		{"plugin privileges", "GET", "/plugins/privileges", "GetPluginPrivileges", nil, ""},
		{"exec", "POST", "/exec/0a/start", "ExecStart", []Object{{"exec", "0a"}}, ""},
		{"service named create", "GET", "/services/create", "ServiceInspect", []Object{{"service", "create"}}, ""},
		{"pprof index", "GET", "/debug/pprof/", "DebugPprofIndex", nil, ""},
		{"pprof heap", "GET", "/debug/pprof/heap", "DebugPprofNamed", []Object{{"profile", "heap"}}, ""},
		{"options", "OPTIONS", "/v1.45/a/b", "SystemOptions", []Object{{"path", "a/b"}}, ""},
		{"network with a space", "GET", "/networks/my%20net", "NetworkInspect", []Object{{"network", "my net"}}, ""},
		{"network in UTF-8", "GET", "/networks/b%C3%BCro", "NetworkInspect", []Object{{"network", "büro"}}, ""},

		{"no such route", "POST", "/v1.41/foo", none, nil, ""},
		{"HEAD on a list", "HEAD", "/containers/json", none, nil, ""},
		{"lower-case method", "get", "/containers/json", none, nil, ""},
		{"a path of another case", "GET", "/Containers/json", none, nil, ""},
		{"container of two segments", "GET", "/containers/a/b/json", none, nil, ""},
		{"delete two segments", "DELETE", "/containers/a/checkpoints", none, nil, ""},
		{"v without a version", "GET", "/v/containers/json", none, nil, ""},
		{"the root", "GET", "/", none, nil, "the path ends with a slash"},

		{"empty", "GET", "", none, nil, "the path does not begin with a slash"},
		{"asterisk", "OPTIONS", "*", none, nil, "the path does not begin with a slash"},
		{"absolute", "GET", "http://x/containers/json", none, nil, "the path does not begin with a slash"},
		{"double slash", "GET", "/containers//json", none, nil, "the path has an empty segment"},
		{"double slash in front", "GET", "//containers/json", none, nil, "the path has an empty segment"},
		{"slash behind", "GET", "/containers/json/", none, nil, "the path ends with a slash"},
		{"slash behind a name", "DELETE", "/containers/web/", none, nil, "the path ends with a slash"},
		{"slash behind an image", "DELETE", "/images/a/b/", none, nil, "the path ends with a slash"},
		{"dot", "GET", "/./containers/json", none, nil, "the path has a dot segment"},
		{"dot dot", "GET", "/x/../containers/json", none, nil, "the path has a dot segment"},
		{"escaped dots", "GET", "/images/%2e%2e/json", none, nil, "the path escapes a character that needs no escaping"},
		{"escaped slash", "GET", "/containers/a%2fb/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped slash in an image", "GET", "/images/a%2Fb/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped backslash", "GET", "/containers/a%5cb/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped percent", "GET", "/containers/a%252fb/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped question mark", "GET", "/containers/a%3fb/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped NUL", "GET", "/containers/a%00/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped newline", "GET", "/containers/a%0a/json", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped bidi override", "GET", "/networks/a%E2%80%AEb", none, nil, "the path escapes a delimiter or a control character"},
		{"escaped literal", "DELETE", "/networks/%63reate", none, nil, "the path escapes a character that needs no escaping"},
		{"escaped literal of an action", "POST", "/containers/%63reate", none, nil, "the path escapes a character that needs no escaping"},
		{"half an escape", "GET", "/containers/a%4/json", none, nil, "the path has a malformed escape"},
		{"no escape", "GET", "/containers/a%zz/json", none, nil, "the path has a malformed escape"},
		{"no UTF-8", "GET", "/networks/%ff", none, nil, "the path has a malformed escape"},
		{"backslash", "GET", `/containers\json`, none, nil, "the path holds a character that must not stand there"},
		{"semicolon", "GET", "/containers/json;x", none, nil, "the path holds a character that must not stand there"},
		{"NUL", "GET", "/containers/a\x00/json", none, nil, "the path holds a character that must not stand there"},
		{"raw UTF-8", "GET", "/networks/büro", none, nil, "the path holds a character that must not stand there"},
		{"version of four parts", "POST", "/v1.45.0.0/containers/create", none, nil, "the API version is not of the form v1.NN"},
		{"version two", "GET", "/v2.0/containers/json", none, nil, "the API version is not of the form v1.NN"},
		{"version with a zero", "GET", "/v1.045/containers/json", none, nil, "the API version is not of the form v1.NN"},
		{"version without minor", "GET", "/v1./containers/json", none, nil, "the API version is not of the form v1.NN"},
		{"two versions", "GET", "/v1.45/v1.45/containers/json", none, nil, ""},
		{"version alone", "GET", "/v1.45", none, nil, "the path is a version and nothing else"},
		{"too long", "GET", "/images/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/json", none, nil, "the path has too many segments"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := Read(row.method, row.path, "")
			if c.Operation() != row.operation || c.Odd != row.odd || !slices.Equal(c.Objects, row.objects) {
				t.Errorf("Read(%s %s) = %q %v odd %q, want %q %v odd %q", row.method, row.path,
					c.Operation(), c.Objects, c.Odd, row.operation, row.objects, row.odd)
			}
		})
	}
}
