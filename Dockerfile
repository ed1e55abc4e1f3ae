# Pierhead in an image of one file. Build it with: docker build --build-arg VERSION=$(git describe --tags --always) -t pierhead .
# How to run it: docs/install.md

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/pierhead/pierhead/internal/cli.Version=$VERSION" -o /pierhead ./cmd/pierhead
# The state directory, private as the server wants it: the image of one file has no mkdir.
RUN mkdir -p /lib/state && mkdir -m 0700 /lib/state/pierhead

FROM scratch
COPY --from=build /pierhead /usr/bin/pierhead
COPY --from=build /lib/state /var/lib
ENV PIERHEAD_STATE=/var/lib/pierhead
VOLUME /var/lib/pierhead
EXPOSE 2376
ENTRYPOINT ["/usr/bin/pierhead"]
CMD ["serve", "--listen", "0.0.0.0:2376"]
