package dockerd

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// ImportBusybox gives the engine an image of a small system, static busybox under all its names, whose command is sh, once
// for each reference.
func (e *Engine) ImportBusybox(ctx context.Context, references ...string) error {
	for _, reference := range references {
		if err := e.importBusybox(ctx, reference); err != nil {
			return fmt.Errorf("import %s: %w", reference, err)
		}
	}
	return nil
}

func (e *Engine) importBusybox(ctx context.Context, reference string) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(WriteBusybox(ctx, writer)) }()
	repository, tag := reference, "latest"
	if colon := strings.LastIndexByte(reference, ':'); colon > strings.LastIndexByte(reference, '/') {
		repository, tag = reference[:colon], reference[colon+1:]
	}
	query := url.Values{"fromSrc": {"-"}, "repo": {repository}, "tag": {tag}, "changes": {`CMD ["sh"]`}}
	answer, err := e.call(ctx, http.MethodPost, "/images/create?"+query.Encode(), reader)
	_ = reader.Close() // so that the writer ends when the engine answered early
	if err == nil && strings.Contains(answer, `"error"`) {
		// The engine has said 200 by the time the import fails; the stream of its progress says so.
		err = errors.New(answer)
	}
	return err
}

// WriteBusybox writes the archive of that small system, as "docker import" takes it.
func WriteBusybox(ctx context.Context, to io.Writer) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	applets, err := exec.CommandContext(ctx, path, "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox's applets: %w", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	archive := &archiver{tar.NewWriter(to)}
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "root/", "run/", "sys/", "var/"} {
		err = errors.Join(err, archive.add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, ""))
	}
	err = errors.Join(err,
		archive.add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, ""),
		archive.add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
		archive.add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\nnogroup:x:65534:\n"),
		archive.add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(program)))
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			err = errors.Join(err, archive.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}, ""))
		}
	}
	return errors.Join(err, archive.Close())
}

type archiver struct{ *tar.Writer }

func (a *archiver) add(header tar.Header, content string) error {
	header.Size = int64(len(content))
	if err := a.WriteHeader(&header); err != nil {
		return err
	}
	_, err := io.WriteString(a, content)
	return err
}

func (e *Engine) ping(ctx context.Context) error {
	_, err := e.call(ctx, http.MethodGet, "/_ping", nil)
	return err
}

// call makes one call to the engine on a connection of its own, and returns what it answered if that was a success.
func (e *Engine) call(ctx context.Context, method, path string, body io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", e.socket)
	}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or failed
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("the engine answered %s: %s", response.Status, strings.TrimSpace(string(answer)))
	}
	return string(answer), nil
}
