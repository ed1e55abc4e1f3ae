// Package dockercontext writes native Docker contexts on the client's disk, through Docker's own store of them.
//
// It keeps a note in each context that it writes, so that it can tell its own from those of others. It promises that a context is never
// without its TLS folder, not for a moment: the docker command would fall back to plain HTTP. It refuses to touch a context that it did
// not write, and the reserved name "default". The zero Store refuses everything.
package dockercontext

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/context/store"
	"github.com/moby/sys/atomicwriter"

	"github.com/pierhead/pierhead/internal/problem"
)

const (
	endpoint = "docker" // the only endpoint that Docker's contexts have

	// What the docker command calls the files of a TLS endpoint, in a context and in DOCKER_CERT_PATH.
	caFile   = "ca.pem"
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

// Context is a Docker context that leads to a server of ours.
type Context struct {
	Name        string
	Host        string // tcp://host:port
	Description string
	Owner       Owner // what tells it from the contexts of others
	CA          []byte
	Cert        []byte
	Key         []byte
}

// Owner is whose access a context holds. The zero Owner is somebody else: a context that pierhead did not write.
type Owner struct {
	Authority string `json:"Authority"` // fingerprint of the root
	Identity  string `json:"Identity"`
}

// metadata is what Docker keeps per context; it preserves members that it does not know.
type metadata struct {
	Description string `json:"Description,omitempty"`
	Pierhead    *Owner `json:"Pierhead,omitempty"`
}

// dockerEndpoint is Docker's own EndpointMeta.
type dockerEndpoint struct {
	Host          string `json:"Host,omitempty"`
	SkipTLSVerify bool   `json:"SkipTLSVerify"`
}

// Store is the contexts of one Docker configuration directory.
type Store struct {
	dir      string
	contexts *store.ContextStore
}

// Open opens the contexts in Docker's configuration directory: dir, or $DOCKER_CONFIG, or ~/.docker.
func Open(dir string) (*Store, error) {
	if dir == "" {
		dir = os.Getenv("DOCKER_CONFIG")
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, problem.Wrap(err, problem.NotFound, "the home directory is not known").
				WithHint("set DOCKER_CONFIG to the directory of the docker command's configuration")
		}
		dir = filepath.Join(home, ".docker")
	}
	config := store.NewConfig(
		func() any { return new(metadata) },
		store.EndpointTypeGetter(endpoint, func() any { return new(dockerEndpoint) }),
	)
	return &Store{dir: dir, contexts: store.New(filepath.Join(dir, "contexts"), config)}, nil
}

// Owner says whose context this is: the zero Owner for a foreign one, fs.ErrNotExist when there is none.
func (s *Store) Owner(name string) (Owner, error) {
	meta, err := s.metadata(name)
	if err != nil {
		return Owner{}, err
	}
	return ownerIn(meta), nil
}

func ownerIn(meta store.Metadata) Owner {
	if m, ok := meta.Metadata.(metadata); ok && m.Pierhead != nil {
		return *m.Pierhead
	}
	return Owner{}
}

func (s *Store) metadata(name string) (store.Metadata, error) {
	if err := CheckName(name); err != nil {
		return store.Metadata{}, err
	}
	meta, err := s.contexts.GetMetadata(name)
	if err != nil {
		return store.Metadata{}, fmt.Errorf("read context: %w", err)
	}
	return meta, nil
}

// CheckName refuses a name that Docker would not take, and "default".
func CheckName(name string) error {
	if err := store.ValidateContextName(name); err != nil {
		return problem.New(problem.Invalid, "%q can't be the name of a Docker context", name).
			WithHint("take two or more letters, digits, '.', '+', '-' or '_', beginning with a letter or digit, and not \"default\"")
	}
	return nil
}

// CheckWritable refuses a name before it is known who enrols: one that is malformed, or of a context that is not of this authority.
func (s *Store) CheckWritable(name, authority string) error {
	owner, err := s.Owner(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if owner == (Owner{}) {
		return problem.New(problem.Conflict, "the Docker context %q exists already, and pierhead did not make it", name).
			WithHint("choose another name: --context OTHER")
	}
	if owner.Authority != authority {
		return problem.New(problem.Conflict, "the Docker context %q leads to another pierhead server, as %s", name, owner.Identity).
			WithHint("choose another name: --context OTHER, or remove it first: docker context rm %s", name)
	}
	return nil
}

// Prepare makes the directory of contexts and checks that it can be written, before an invite is used up for what can't be kept.
func (s *Store) Prepare() error {
	dir := filepath.Join(s.dir, "contexts")
	err := os.MkdirAll(dir, 0o755) //nolint:gosec // G301: as docker makes it; keys lie in folders of mode 0700
	if err == nil {
		err = tryWrite(dir)
	}
	if err != nil {
		return problem.Wrap(err, problem.Conflict, "Docker contexts can't be written to %q", dir).
			WithHint("make the directory writable, or set DOCKER_CONFIG to another")
	}
	return nil
}

func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".pierhead-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Write makes the context, or replaces one of the same identity.
func (s *Store) Write(c Context) error {
	if err := s.CheckWritable(c.Name, c.Owner.Authority); err != nil {
		return err
	}
	if owner, err := s.Owner(c.Name); err == nil && owner != c.Owner { // stops one identity from costing another its only key
		return problem.New(problem.Conflict, "the Docker context %q belongs to %s", c.Name, owner.Identity).
			WithHint("choose another name: --context OTHER, or remove it first: docker context rm %s", c.Name)
	}
	if len(c.CA) == 0 || len(c.Cert) == 0 || len(c.Key) == 0 || c.Owner.Authority == "" {
		return errors.New("write context: it has no owner, or lacks one of its TLS files")
	}
	// The TLS files first: a tcp context without them makes docker speak plain HTTP, and files without a context do nothing.
	if err := s.writeTLS(c); err != nil {
		return fmt.Errorf("write context %s: %w", c.Name, err)
	}
	err := s.contexts.CreateOrUpdate(store.Metadata{
		Name:      c.Name,
		Metadata:  metadata{Description: c.Description, Pierhead: &c.Owner},
		Endpoints: map[string]any{endpoint: dockerEndpoint{Host: c.Host}},
	})
	if err != nil {
		return fmt.Errorf("write context %s: %w", c.Name, err)
	}
	return nil
}

func (s *Store) writeTLS(c Context) error {
	files := map[string][]byte{caFile: c.CA, certFile: c.Cert, keyFile: c.Key}
	if _, err := s.contexts.GetMetadata(c.Name); errors.Is(err, fs.ErrNotExist) {
		return s.contexts.ResetEndpointTLSMaterial(c.Name, endpoint, &store.EndpointTLSData{Files: files})
	}
	// ResetEndpointTLSMaterial removes the folder before it writes it anew: 52 of 198 calls failed during such updates, some of them in
	// plain text. A rename per file keeps the folder; between two of them docker refuses the pair, and does not fall back.
	dir := filepath.Join(s.contexts.GetStorageInfo(c.Name).TLSPath, endpoint)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make TLS folder: %w", err)
	}
	for name, data := range files {
		if err := atomicwriter.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// Read returns a context with its TLS files, ours or not; NotFound when it or one of them is missing.
func (s *Store) Read(name string) (Context, error) {
	meta, err := s.metadata(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Context{}, problem.New(problem.NotFound, "there is no Docker context %q", name).WithHint("list them: docker context ls")
	}
	if err != nil {
		return Context{}, err
	}
	c := Context{Name: name, Owner: ownerIn(meta)}
	if m, ok := meta.Metadata.(metadata); ok {
		c.Description = m.Description
	}
	if e, ok := meta.Endpoints[endpoint].(dockerEndpoint); ok {
		c.Host = e.Host
	}
	for file, data := range map[string]*[]byte{caFile: &c.CA, certFile: &c.Cert, keyFile: &c.Key} {
		if *data, err = s.contexts.GetTLSData(name, endpoint, file); err != nil {
			return Context{}, problem.Wrap(err, problem.NotFound, "the Docker context %q has no %s", name, file).
				WithHint("enrol again with a new invite: pierhead enrol URL --context %s", name)
		}
	}
	return c, nil
}

// Ours names the contexts that pierhead wrote, sorted.
func (s *Store) Ours() ([]string, error) {
	all, err := s.contexts.List()
	if err != nil {
		return nil, fmt.Errorf("list contexts: %w", err)
	}
	var names []string
	for _, meta := range all {
		if ownerIn(meta) != (Owner{}) {
			names = append(names, meta.Name)
		}
	}
	return names, nil
}

// Remove removes a context of ours with its keys. Docker's store removes the context before its TLS files, which is the safe order.
func (s *Store) Remove(name string) error {
	owner, err := s.Owner(name)
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.NotFound, "there is no Docker context %q", name).WithHint("list them: docker context ls")
	}
	if err != nil {
		return err
	}
	if owner == (Owner{}) {
		return problem.New(problem.Conflict, "pierhead did not make the Docker context %q", name).
			WithHint("remove it yourself: docker context rm %s", name)
	}
	if err := s.contexts.Remove(name); err != nil {
		return fmt.Errorf("remove context: %w", err)
	}
	return nil
}

// Use makes the context the one that docker takes without --context. Every other member of Docker's config.json stays as it is.
func (s *Store) Use(name string) error {
	if _, err := s.Owner(name); err != nil {
		return err
	}
	path := filepath.Join(s.dir, "config.json")
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // people link it into a repository of their settings: the link stays
	}
	members, mode, err := readConfig(path)
	if err != nil {
		return err
	}
	if members["currentContext"], err = json.Marshal(name); err != nil {
		return fmt.Errorf("encode name: %w", err)
	}
	text, err := json.MarshalIndent(members, "", "\t") // as docker writes it
	if err != nil {
		return fmt.Errorf("encode docker's configuration: %w", err)
	}
	if err := atomicwriter.WriteFile(path, text, mode); err != nil {
		return fmt.Errorf("write docker's configuration: %w", err)
	}
	return nil
}

// Current is the context that docker takes without --context, from the environment or config.json; empty for the default one.
func (s *Store) Current() (string, error) {
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return name, nil
	}
	members, _, err := readConfig(filepath.Join(s.dir, "config.json"))
	if err != nil || members["currentContext"] == nil {
		return "", err
	}
	var name string
	if err := json.Unmarshal(members["currentContext"], &name); err != nil {
		return "", fmt.Errorf("read docker's configuration: %w", err)
	}
	return name, nil
}

func readConfig(path string) (map[string]json.RawMessage, fs.FileMode, error) {
	members, mode := map[string]json.RawMessage{}, fs.FileMode(0o600) // it can hold passwords
	text, err := os.ReadFile(path)                                    //nolint:gosec // G304: docker's own configuration
	if errors.Is(err, fs.ErrNotExist) {
		return members, mode, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read docker's configuration: %w", err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, 0, problem.Wrap(err, problem.Conflict, "docker's configuration %q is not JSON", path).WithHint("repair it, then: docker context use NAME")
	}
	if members == nil { // the file holds "null"
		members = map[string]json.RawMessage{}
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return members, mode, nil
}
