package engineapi

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Bounds of what one body may put into the record.
const (
	maxFacts     = 64
	maxFactText  = 4096 // bytes of kinds and values, as the record writes them
	maxFactValue = 256  // bytes
)

// notableKinds are the kinds of facts that give the host away, the gravest first.
var notableKinds = []string{
	"host.privileged", "exec.privileged", "host.mount", "device.", "volume.device", "kernel.capability", "host.", "security.",
	"container.namespace", "container.volumes", "kernel.",
}

// NotGrave is the gravity of an ordinary fact.
const NotGrave = math.MaxInt

// Gravity is how much a kind of fact gives of the host: the least for the gravest, and NotGrave for all that give nothing of it.
func (f Fact) Gravity() int {
	for i, k := range notableKinds {
		if f.Kind == k || strings.HasSuffix(k, ".") && strings.HasPrefix(f.Kind, k) {
			return i
		}
	}
	return NotGrave
}

// facts is a list within bounds. What does not fit is counted by kind.
type facts struct {
	list []Fact
	text int            // bytes that the record needs for the list
	more map[string]int // what did not fit; nil while all did
	bar  int            // the gravity of what was dropped last: nothing less grave is in the list
}

// add adds a fact. Where the list is full, the least grave fact goes, the latest of these: else a caller would hide that a container
// gets the disk behind harmless facts that are put before it.
func (fs *facts) add(f Fact) {
	if fs.more != nil && f.Gravity() >= fs.bar { // so that a body of a thousand facts costs no thousand searches
		fs.more[f.Kind]++
		return
	}
	fs.list = append(fs.list, f)
	fs.text += textSize(f)
	for len(fs.list) > maxFacts || fs.text > maxFactText {
		fs.drop(fs.leastGrave())
	}
}

func (fs *facts) leastGrave() int {
	least, gravity := 0, 0
	for i, f := range fs.list {
		if g := f.Gravity(); g >= gravity {
			least, gravity = i, g
		}
	}
	return least
}

func (fs *facts) drop(i int) {
	if fs.more == nil {
		fs.more = make(map[string]int)
	}
	f := fs.list[i]
	fs.more[f.Kind]++
	fs.text -= textSize(f)
	fs.bar = f.Gravity()
	fs.list = slices.Delete(fs.list, i, i+1)
}

// done is the facts, at last how many more there were of each kind, the gravest kind first.
func (fs *facts) done() []Fact {
	kinds := slices.SortedFunc(maps.Keys(fs.more), func(a, b string) int {
		return cmp.Or(cmp.Compare(Fact{Kind: a}.Gravity(), Fact{Kind: b}.Gravity()), strings.Compare(a, b))
	})
	for _, kind := range kinds {
		fs.list = append(fs.list, Fact{"more", fmt.Sprintf("%d %s", fs.more[kind], kind)})
	}
	return fs.list
}

// textSize is how many bytes the record needs for a fact: it writes what is not ASCII as \u00fc, and puts a backslash before quotes.
func textSize(f Fact) int {
	n := len(f.Kind) + len(f.Value)
	for _, r := range f.Value {
		switch {
		case r > 0xffff:
			n += 12 - 4
		case r > 0x7f:
			n += 6 - 2 // the most that a character can grow by
		case r == '"' || r == '\\':
			n++
		}
	}
	return n
}
