GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.9.0

.PHONY: build test race lint demo bench docs fuzz

build: ## the distribution, as ./benthos-happyrobot
	CGO_ENABLED=0 go build -trimpath -o benthos-happyrobot ./cmd/benthos-happyrobot

test: ## the README's test command
	go test ./...

race:
	go test -race -shuffle=on ./...

lint:
	go vet ./...
	$(GOLANGCI) run --allow-parallel-runners

demo:
	go run ./cmd/demo

bench: ## side by side with what one would write otherwise
	go test -run '^$$' -bench . -benchtime 1x ./tests/bench

docs: ## plugin/docs from the components' specs
	UPDATE_DOCS=1 go test -run TestDocsAreFresh ./plugin
