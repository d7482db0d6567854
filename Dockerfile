# A static binary on distroless, as nonroot, which writes nowhere but /data. The default
# config calls the leads of /data/leads.jsonl; mount a volume at /data, which also keeps
# the ledger:
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v data:/data benthos-happyrobot
#
# Both images are named by tag and digest. The digest counts; where a newer one is due:
#
#   docker buildx imagetools inspect gcr.io/distroless/static-debian12:nonroot
FROM golang:1.26.9@sha256:f1f0bcc2c524a3ced375fcb4d1ecb7aa371aa7070e112599aaca45cc02d0101b AS build
WORKDIR /src
# The Go of a release (RELEASE_GO in the Makefile), which the go command fetches.
ENV GOTOOLCHAIN=go1.26.10
COPY go.mod go.sum ./
RUN go mod download
COPY cmd ./cmd
COPY plugin ./plugin
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /benthos-happyrobot ./cmd/benthos-happyrobot \
    && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab
COPY LICENSE THIRD_PARTY_NOTICES SECURITY.md /
COPY --from=build /benthos-happyrobot /benthos-happyrobot
COPY --from=build --chown=nonroot:nonroot /data /data
COPY config /config
COPY resources /resources
ENV STATE_DIR=/data/state LEADS_FILE=/data/leads.jsonl FAILED_FILE=/data/failed.jsonl
WORKDIR /data
USER nonroot:nonroot
EXPOSE 4195
VOLUME /data
# Readiness and metrics listen on all addresses of the container, and only they do:
# outside a container the program listens on 127.0.0.1. The address stands in the
# entrypoint so that a command of your own keeps it:
#
#   docker run benthos-happyrobot streams -r /resources/local.yaml /config/kafka_to_calls.yaml
#
# It counts more than http.address in a config file, and less than a -s of your own.
# With `streams --api`, or http.basic_auth, probes and scrapers must authenticate too.
ENTRYPOINT ["/benthos-happyrobot", "-s", "http.address=0.0.0.0:4195"]
CMD ["run", "-s", "shutdown_timeout=90s", "-r", "/resources/local.yaml", "/config/quickstart.yaml"]
