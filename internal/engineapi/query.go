package engineapi

import (
	"net/url"
	"strings"
)

// maxQuery bounds what is read of a query, in bytes.
const maxQuery = 8 << 10

// readQuery adds the objects that the query names. Every value of a repeated parameter counts: the engine takes the first of most,
// and all of names and t.
func (c *Call) readQuery(raw string) {
	if len(raw) > maxQuery {
		c.Unread = "the query is too long to be read"
		return
	}
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(key, "%+") { // from%49mage is fromImage to the engine
			key, _ = url.QueryUnescape(key)
		}
		for _, p := range c.Route.names {
			if key == p.name && value != "" {
				c.addQueryObject(p.kind, value)
			}
		}
	}
}

func (c *Call) addQueryObject(kind, value string) {
	name, err := url.QueryUnescape(value)
	if err != nil || strings.ContainsFunc(name, unprintable) {
		c.Unread = "the query names an object that can't be read"
		return
	}
	c.addObject(kind, clip(name))
}
