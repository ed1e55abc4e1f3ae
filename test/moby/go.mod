module github.com/pierhead/pierhead/test/moby

go 1.26.8

require (
	github.com/gorilla/mux v1.8.1
	github.com/moby/moby/v2 v2.0.0-beta.24
	github.com/pierhead/pierhead v0.0.0
)

require (
	github.com/docker/go-units v0.5.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/moby/docker-image-spec v1.3.1 // indirect
	github.com/moby/moby/api v1.56.1 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
)

replace github.com/pierhead/pierhead => ../..
