package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// serveNaive is the yardstick: the proxy that most people would write to put an engine's socket behind mutual TLS. A bare
// httputil.ReverseProxy that flushes at once and leaves hijacks to ReverseProxy's own upgrade support. It knows no policy and keeps no
// record. idle is the number of idle connections to the engine that it keeps; 0 is net/http's default of two.
func serveNaive(listen, socket, certs string, idle int) error {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		FlushInterval: -1,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
			MaxIdleConnsPerHost: idle,
		},
	}
	return serveTLS(listen, certs, proxy)
}

func serveTLS(listen, certs string, handler http.Handler) error {
	config, err := loadTLS(certs)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: listen, Handler: handler, TLSConfig: config} //nolint:gosec // as most people would write it
	return server.ListenAndServeTLS("", "")
}
