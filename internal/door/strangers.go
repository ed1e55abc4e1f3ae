package door

import (
	"container/list"
	"net"
	"sync"
)

// strangers are the connections without an identity. There is room for so many; then the oldest is closed, of the same address first if
// that one has half of the room.
type strangers struct {
	most int

	mu    sync.Mutex
	queue list.List      // guarded by mu: *stranger, the oldest first
	from  map[string]int // guarded by mu: how many of an address
}

// stranger is one connection, until it has an identity or ends.
type stranger struct {
	conn    net.Conn
	address string        // without the port
	place   *list.Element // guarded by strangers.mu; nil once it has left
}

// enter lets a connection in.
func (s *strangers) enter(c net.Conn) *stranger {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		host = c.RemoteAddr().String()
	}
	who := &stranger{conn: c, address: host}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from == nil {
		s.from = make(map[string]int)
	}
	switch {
	case s.from[host] >= max(s.most/2, 1):
		s.evict(host)
	case s.queue.Len() >= s.most:
		s.evict("")
	}
	who.place = s.queue.PushBack(who)
	s.from[host]++
	return who
}

// evict closes the oldest connection of an address, or of all for "". The caller holds mu.
func (s *strangers) evict(host string) {
	for e := s.queue.Front(); e != nil; e = e.Next() {
		if who := e.Value.(*stranger); host == "" || who.address == host {
			s.remove(who)
			_ = who.conn.Close() // its own goroutine sees it
			return
		}
	}
}

// leave takes a connection out; a second time does nothing.
func (s *strangers) leave(who *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(who)
}

func (s *strangers) remove(who *stranger) {
	if who.place == nil {
		return
	}
	s.queue.Remove(who.place)
	who.place = nil
	if s.from[who.address]--; s.from[who.address] == 0 {
		delete(s.from, who.address)
	}
}
