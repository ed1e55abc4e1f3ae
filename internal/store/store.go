// Package store is the state on disk: invites, identities, and how the server is reached.
//
// Everything is a small file in one private directory, written whole by rename, so that an operator's command and a running server share
// it without asking each other. It promises that an invite is claimed once, whoever races, and that an identity which was removed is
// nobody within a second. It refuses a directory that others can read, and a second server on the same one. The zero Store refuses.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pierhead/pierhead/internal/problem"
	"github.com/pierhead/pierhead/internal/statedir"
)

const (
	lockFile   = "lock"        // held by the server for as long as it runs
	changeFile = "change.lock" // held for a moment by whoever changes an identity
	serverFile = "server.json"
	suffix     = ".json"
)

// Store is an open state directory. It is safe for concurrent use, also by several processes.
type Store struct {
	dir, invites, identities statedir.Dir

	known atomic.Pointer[snapshot] // identities as last read

	mu   sync.Mutex // guards reading identities anew, and lock
	lock *os.File
}

// Open opens the state directory, making it when it is missing. It takes no lock: commands of an operator run beside the server.
func Open(path string) (*Store, error) {
	dir, err := statedir.Open(path)
	if err != nil {
		return nil, err
	}
	return open(dir)
}

// OpenExisting is Open for commands: NotFound where no server ever made a state directory.
func OpenExisting(path string) (*Store, error) {
	dir, err := statedir.Existing(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.NotFound, "there is no state directory %q", path).
			WithHint("start a server: pierhead serve, or name the right directory with --state")
	}
	if err != nil {
		return nil, err
	}
	return open(dir)
}

func open(dir statedir.Dir) (_ *Store, err error) {
	s := &Store{dir: dir}
	if s.invites, err = dir.Sub("invites"); err != nil {
		return nil, err
	}
	if s.identities, err = dir.Sub("identities"); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir is the state directory's path.
func (s *Store) Dir() string { return s.dir.String() }

// AuthorityDir is where the authority lies.
func (s *Store) AuthorityDir() string { return filepath.Join(s.dir.String(), "authority") }

// Lock makes this process the directory's server until Close; a second server is refused.
func (s *Store) Lock() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		return errors.New("lock state directory: this server has it already")
	}
	f, err := lockDir(filepath.Join(s.dir.String(), lockFile))
	if err != nil {
		return err
	}
	s.lock = f
	return nil
}

// Close gives the lock back.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close() // closing the last descriptor of the file releases the lock
	s.lock = nil
	if err != nil {
		return fmt.Errorf("unlock state directory: %w", err)
	}
	return nil
}

// Server is how the server on this directory is reached; it is written at every start.
type Server struct {
	Addresses []string `json:"addresses"` // host:port of each TLS door
	Names     []string `json:"names"`     // names in its certificate
	PID       int      `json:"pid"`
}

// SaveServer writes how the server is reached.
func (s *Store) SaveServer(v Server) error { return write(s.dir, serverFile, v) }

// LoadServer reads how the server is reached; NotFound when none ever started here.
func (s *Store) LoadServer() (Server, error) {
	var v Server
	err := read(s.dir, serverFile, &v)
	if errors.Is(err, fs.ErrNotExist) {
		return Server{}, problem.New(problem.NotFound, "no server was ever started on state directory %q", s.dir).
			WithHint("start one: pierhead serve, or name the right directory with --state")
	}
	return v, err
}

func write(dir statedir.Dir, file string, v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	return dir.Write(file, text)
}

func encode(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return append(text, '\n'), nil
}

// read takes unknown members: a file of a newer version of this program is read by an older one after a step back.
func read(dir statedir.Dir, file string, v any) error {
	text, err := dir.Read(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return problem.Wrap(err, problem.Conflict, "state file %q is damaged", filepath.Join(dir.String(), file)).
			WithHint("restore it from a backup, or remove it and invite again")
	}
	return nil
}
