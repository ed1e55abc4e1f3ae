package enginetest

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
)

// imageID is an ID for a name: every image that is asked for is there.
func imageID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (e *Engine) imageList(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []image.Summary{{
		ID: imageID("alpine"), RepoTags: []string{"alpine:latest"}, Created: time.Now().Unix(), Size: e.cfg.Bulk, Containers: -1,
	}})
}

// image is GET /images/{name}/json and /get, and DELETE /images/{name}.
func (e *Engine) image(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/images/")
	if r.Method == http.MethodDelete {
		answer(w, http.StatusOK, []image.DeleteResponse{{Untagged: path}})
		return
	}
	if strings.HasSuffix(path, "/get") {
		e.bulk(w, r)
		return
	}
	name, ok := strings.CutSuffix(path, "/json")
	if !ok {
		refuse(w, http.StatusNotFound, "page not found")
		return
	}
	answer(w, http.StatusOK, image.InspectResponse{
		ID: imageID(name), RepoTags: []string{name}, Os: "linux", Created: time.Now().UTC().Format(time.RFC3339Nano),
	})
}

// bulk sends Config.Bulk bytes of Pattern, chunked.
func (e *Engine) bulk(w http.ResponseWriter, _ *http.Request) {
	_, end := e.begin("export", "")
	defer end()
	w.Header().Set("Content-Type", "application/x-tar")
	flush(w)
	_, _ = io.Copy(w, Pattern(e.cfg.Bulk)) // a client that leaves ends it
}

func (e *Engine) containerExport(w http.ResponseWriter, r *http.Request) {
	if e.find(w, r.PathValue("id")) != nil {
		e.bulk(w, r)
	}
}

// archiveGet sends a tar of one file of Config.Bulk bytes, and its stat in the head.
func (e *Engine) archiveGet(w http.ResponseWriter, r *http.Request) {
	if e.find(w, r.PathValue("id")) == nil {
		return
	}
	path := r.FormValue("path")
	stat := apicontainer.PathStat{Name: path[strings.LastIndex(path, "/")+1:], Size: e.cfg.Bulk, Mode: 0o644, Mtime: time.Now()}
	text, err := json.Marshal(stat)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(text))
	w.Header().Set("Content-Type", "application/x-tar")
	if r.Method == http.MethodHead {
		return
	}
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{Name: stat.Name, Size: stat.Size, Mode: int64(stat.Mode), ModTime: stat.Mtime}); err != nil {
		return
	}
	if _, err := io.Copy(tw, Pattern(stat.Size)); err == nil {
		_ = tw.Close()
	}
}

func (e *Engine) archivePut(w http.ResponseWriter, r *http.Request) {
	if e.find(w, r.PathValue("id")) == nil {
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
	}
}

// load takes an image and says so once it is read.
func (e *Engine) load(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, "load", "Loaded image: alpine:latest")
}

// build takes a context, and talks while it does: the engine answers before it has read all.
func (e *Engine) build(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, "build", "Successfully built c0ffee")
}

// take reads a body in full duplex, with a line of progress at its beginning and one for each MiB.
func (e *Engine) take(w http.ResponseWriter, r *http.Request, kind, last string) {
	_, end := e.begin(kind, "")
	defer end()
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var total int64
	for {
		encode(w, map[string]string{"stream": fmt.Sprintf("%s: %d bytes\n", kind, total)})
		flush(w)
		n, err := io.CopyN(io.Discard, r.Body, 1<<20)
		total += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	encode(w, map[string]string{"stream": last + "\n"})
}
