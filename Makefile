GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.9.0
FUZZTIME ?= 60s
# What a release is built with, and for: the Go whose standard library has no known
# vulnerability (make vulncheck), fetched by the go command itself. The Dockerfile has
# the same.
RELEASE_GO := go1.26.10
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# The database of known vulnerabilities, as a Go module: raise it with VULNDB=latest.
VULNDB ?= v0.0.0-20261105234957-e22db6528018
# An earlier commit, whose replicas share a ledger with those of this one.
BEFORE ?= ad445d8
UPGRADE := $(shell mktemp -u -d)/before
CRASH := CRASH_LEADS=$${CRASH_LEADS:-5000} CRASH_KILLS=$${CRASH_KILLS:-30} go test -count 1 -timeout 45m -parallel 4

.PHONY: build test quick race lint notices embed vulncheck release reproducible demo bench docs fuzz phones crash services-test reliability reliability-check pressure longrun upgrade prove

build: ## the distribution, as ./benthos-happyrobot
	CGO_ENABLED=0 go build -trimpath -o benthos-happyrobot ./cmd/benthos-happyrobot

test: ## the README's test command
	go test ./...

quick: ## the fast lane: fewer seeds, leads and kills; what has only one size is left to make test
	go test -short ./...

race: ## on one processor: with more, the race detector can crash under a fake clock (golang.org/issue/78156)
	go test -race -shuffle=on -cpu 1 -parallel 8 ./...

lint:
	go vet ./...
	$(GOLANGCI) run --allow-parallel-runners

notices: ## THIRD_PARTY_NOTICES, from what is linked
	UPDATE_NOTICES=1 go test -count 1 -run TestTheNoticesAreFresh ./tests/licences

embed: ## plain Benthos with the plugin, as a module of its own
	cd tests/embed && go mod tidy -diff && go vet ./... && go test ./...

vulncheck: ## known vulnerabilities in what a release links
	VULNDB=$(VULNDB) RELEASE_GO=$(RELEASE_GO) .ci/vulncheck

release: ## dist/: an archive and an SBOM for each platform, and checksums
	GOTOOLCHAIN=$(RELEASE_GO) go run .ci/release.go -platforms "$(PLATFORMS)"

reproducible: ## the release of the last commit twice, compared byte by byte
	GOTOOLCHAIN=$(RELEASE_GO) PLATFORMS="$(PLATFORMS)" .ci/reproducible

demo:
	go run ./cmd/demo
	go run ./cmd/demo -platform

bench: ## side by side with what one would write otherwise
	go test -run '^$$' -bench . -benchtime 1x ./tests/bench ./plugin/connectors/kafka

docs: ## plugin/docs from the components' specs
	UPDATE_DOCS=1 go test -run TestDocsAreFresh ./plugin ./plugin/connectors

fuzz: ## each target for FUZZTIME
	for target in plugin/happyrobot:FuzzCreatedCalls plugin/happyrobot:FuzzEvents plugin/happyrobot:FuzzCallbacks plugin/happyrobot:FuzzRedactAgreesWithDecoding plugin/internal/ledger:FuzzDecodeRecord \
		plugin/internal/dialer:FuzzMatch plugin/happyrobot:FuzzClassify plugin/internal/phone:FuzzDigitsSentAreDigitsOfTheText plugin:FuzzDedupeKey \
		plugin/happyrobot/platform:FuzzTriggerReply plugin/happyrobot/platform:FuzzRuns; do \
		go test -run '^$$' -fuzz "^$${target#*:}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$${target%:*}" || exit 1; \
	done

phones: ## 10,000 valid numbers of each region, as people there write them
	PHONE_TEXTS=10000 go test -count 1 -timeout 60m -run TestNationalTexts ./plugin/internal/phone

crash: ## thousands of leads, dozens of kills; CRASH_SEED repeats a run
	$(CRASH) -v -run 'Killed/kfake' ./tests/crash

services-test: ## the crash and replica tests, the pipelines and the connectors, on real Kafka, Redis and PostgreSQL
	tests/services/services.sh up
	eval "$$(tests/services/services.sh env)"; export TEST_SERVICES=required; \
		$(CRASH) -v -run '/kafka' ./tests/crash && go test -count 1 -timeout 15m ./tests/pipelines && \
		go test -count 1 -timeout 15m -p 1 ./plugin/connectors/... ./tests/upgrade; \
		status=$$?; tests/services/services.sh down; exit $$status

reliability: ## writes tests/reliability.md: every fault, ours and the peer's
	UPDATE_RELIABILITY=1 UPDATE_RELIABILITY_PLATFORM=1 go test -count 1 -run TestReliabilityTable -timeout 40m ./tests/faults

reliability-check: ## the same faults, held to the promise; the table stays as it is
	CHECK_RELIABILITY=1 go test -count 1 -run TestReliabilityTable -timeout 40m ./tests/faults

pressure: ## troubles that last a real minute each
	RELIABILITY_MINUTE=1 go test -count 1 -run TestTrouble -timeout 15m -v ./tests/faults

longrun: ## a million leads, and what grows meanwhile
	LONGRUN_LEADS=$${LONGRUN_LEADS:-1000000} go test -count 1 -v -timeout 30m ./tests/longrun

upgrade: ## replicas of this and an earlier commit contend for stale claims; BEFORE is that commit
	mkdir -p $(UPGRADE) && git archive $(BEFORE) | tar -x -C $(UPGRADE)
	cd $(UPGRADE) && go build -o benthos-happyrobot ./cmd/benthos-happyrobot
	CRASH_BEFORE=$(UPGRADE) go test -count 1 -timeout 20m -v -run 'AnOldAndANew/kfake' ./tests/crash

prove: phones crash upgrade services-test reliability-check pressure longrun ## what takes too long for CI
