package engineapi

import (
	"slices"
	"strings"
	"testing"
)

func TestQueryNamesObjects(t *testing.T) {
	rows := []struct {
		name, method, path, query string
		objects                   []Object
		unread                    string
	}{
		{"create", "POST", "/containers/create", "name=web", []Object{{"container", "web"}}, ""},
		{"create without a name", "POST", "/containers/create", "platform=linux", nil, ""},
		{"pull", "POST", "/images/create", "fromImage=docker.io%2Flibrary%2Fnginx&tag=1", []Object{{"image", "docker.io/library/nginx"}}, ""},
		{"disguised key", "POST", "/images/create", "from%49mage=evil", []Object{{"image", "evil"}}, ""},
		{"repeated", "POST", "/images/create", "fromImage=a&fromImage=b", []Object{{"image", "a"}, {"image", "b"}}, ""},
		{"commit", "POST", "/commit", "container=web&repo=x", []Object{{"container", "web"}, {"image", "x"}}, ""},
		{"save", "GET", "/images/get", "names=a&names=b&names=c", []Object{{"image", "a"}, {"image", "b"}, {"image", "c"}}, ""},
		{"tag", "POST", "/images/a/tag", "repo=b", []Object{{"image", "a"}, {"image", "b"}}, ""},
		{"build keeps its arguments to itself", "POST", "/build", "t=app&buildargs=%7B%22TOKEN%22%3A%22s3cret%22%7D&remote=https://x:y@z", []Object{{"image", "app"}}, ""},
		{"filters are no object", "GET", "/containers/json", "filters=%7B%7D", nil, ""},
		{"newline", "POST", "/containers/create", "name=a%0ab", nil, "the query names an object that can't be read"},
		{"bad escape", "POST", "/containers/create", "name=%zz", nil, "the query names an object that can't be read"},
		{"too long", "POST", "/containers/create", "name=" + strings.Repeat("a", maxQuery), nil, "the query is too long to be read"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := Read(row.method, row.path, row.query)
			if !slices.Equal(c.Objects, row.objects) || c.Unread != row.unread {
				t.Errorf("objects = %v unread %q, want %v %q", c.Objects, c.Unread, row.objects, row.unread)
			}
		})
	}
}

func TestQueryIsBounded(t *testing.T) {
	c := Read("GET", "/images/get", strings.Repeat("names=a&", 500))
	if len(c.Objects) != 32 {
		t.Errorf("%d objects, want 32", len(c.Objects))
	}
	c = Read("POST", "/containers/create", "name="+strings.Repeat("a", 1000))
	if n := len(c.Objects[0].Name); n != maxFactValue {
		t.Errorf("a name of %d bytes, want %d", n, maxFactValue)
	}
}
