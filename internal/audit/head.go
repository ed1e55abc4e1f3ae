package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// headEvery is how often the head follows a trail that grows.
const headEvery = 5 * time.Second

// head is how far the trail was on disk. It is kept outside the trail's directory, so that a directory that was emptied, and a newest
// segment that was cut off between two records, are noticed at the next start: the chain alone can't show its own end.
type head struct {
	Seq     uint64 `json:"seq"`
	Hash    string `json:"hash"`
	Segment int    `json:"segment"`
}

// readHead reads the head; the zero head when there is none.
func readHead(path string) (h head, at link, err error) {
	if path == "" {
		return h, at, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // in the server's own state
	if errors.Is(err, fs.ErrNotExist) {
		return h, at, nil
	}
	if err != nil {
		return h, at, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return head{}, at, fmt.Errorf("%w: %w", errHead, err)
	}
	at.seq = h.Seq
	if n, err := hex.Decode(at.hash[:], []byte(clip(h.Hash, 2*len(at.hash)))); err != nil || n != len(at.hash) || h.Seq == 0 || h.Segment < 1 {
		return head{}, link{}, errHead
	}
	return h, at, nil
}

var errHead = errors.New("the trail's head is damaged")

// saveHead writes down how far the trail is on disk. That it can't is no failure of the trail: it is tried again.
func (t *Trail) saveHead() error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	if t.head == "" || t.synced.seq == t.saved {
		return nil
	}
	t.writing.Lock()
	h := head{Seq: t.synced.seq, Hash: hex.EncodeToString(t.synced.hash[:]), Segment: t.segment}
	t.writing.Unlock()
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := replaceFile(t.head, append(text, '\n')); err != nil {
		return err
	}
	t.saved = h.Seq
	return nil
}

// replaceFile gives a file its new content, whole or not at all.
func replaceFile(path string, text []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // beside the file
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

// noteLost says which records the head knows of and the trail does not have.
func (t *Trail) noteLost(from, to uint64) {
	t.enc.note(t.now(), "trail.lost", []Attr{
		{"from", strconv.FormatUint(from, 10)},
		{"to", strconv.FormatUint(to, 10)},
		{"because", "these records were on disk, and are not in the trail any more"},
	})
	t.wake()
}
