package enginetest

import (
	"encoding/json"
	"net/http"
	"runtime"

	"github.com/moby/moby/api/types/system"
)

// routes is the API that the engine speaks, without version prefixes.
func (e *Engine) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /_ping":   e.ping,
		"HEAD /_ping":  e.ping,
		"GET /version": e.version,
		"GET /info":    e.info,
		"GET /events":  e.events,

		"GET /containers/json":          e.containerList,
		"POST /containers/create":       e.containerCreate,
		"GET /containers/{id}/json":     e.containerInspect,
		"POST /containers/{id}/start":   e.containerStart,
		"POST /containers/{id}/stop":    e.containerSignal,
		"POST /containers/{id}/kill":    e.containerSignal,
		"POST /containers/{id}/wait":    e.containerWait,
		"POST /containers/{id}/resize":  done,
		"POST /containers/{id}/attach":  e.containerAttach,
		"POST /containers/{id}/exec":    e.execCreate,
		"GET /containers/{id}/logs":     e.containerLogs,
		"GET /containers/{id}/stats":    e.containerStats,
		"GET /containers/{id}/top":      e.containerTop,
		"GET /containers/{id}/export":   e.containerExport,
		"GET /containers/{id}/archive":  e.archiveGet,
		"HEAD /containers/{id}/archive": e.archiveGet,
		"PUT /containers/{id}/archive":  e.archivePut,
		"DELETE /containers/{id}":       e.containerDelete,

		"POST /exec/{id}/start":  e.execStart,
		"POST /exec/{id}/resize": done,
		"GET /exec/{id}/json":    e.execInspect,

		"GET /images/json":    e.imageList,
		"GET /images/get":     e.bulk,
		"POST /images/load":   e.load,
		"POST /images/create": e.load,
		"GET /images/":        e.image, // a name may have slashes, so that no pattern fits it
		"DELETE /images/":     e.image,
		"POST /build":         e.build,

		"GET /networks": empty,
		"GET /volumes":  noVolumes,

		"POST /session": e.upgrade,
		"POST /grpc":    e.upgrade,
	} {
		mux.HandleFunc(pattern, h)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "page not found")
	})
	return mux
}

func (e *Engine) ping(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Builder-Version", "2")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Swarm", "inactive")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		h.Set("Content-Length", "0")
		return
	}
	_, _ = w.Write([]byte("OK"))
}

func (e *Engine) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, system.VersionResponse{
		Platform: system.PlatformInfo{Name: "enginetest"}, Version: "20.10.24", APIVersion: e.cfg.APIVersion, MinAPIVersion: "1.12",
		Os: "linux", Arch: runtime.GOARCH, GoVersion: runtime.Version(),
	})
}

func (e *Engine) info(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answer(w, http.StatusOK, system.Info{
		ID: "enginetest", Containers: len(e.containers), Name: "enginetest", ServerVersion: "20.10.24", OSType: "linux",
		Architecture: runtime.GOARCH, NCPU: 1, Driver: "overlay2",
	})
}

// done is the answer to what changes nothing here.
func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func empty(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, []struct{}{}) }

func noVolumes(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"Volumes": []struct{}{}, "Warnings": []string{}})
}

// answer sends JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encode(w, body)
}

// refuse sends an error as the engine does.
func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

// encode writes a line of JSON. That the client is gone shows elsewhere.
func encode(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
