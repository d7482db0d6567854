// Package contract holds our client and the pretend API against the description
// of the real one.
//
// What the description cannot prove: the answers of exportCalls, stopCall and
// cancelCall have no schema ({}), deleteCall and setCallRating no body, errors
// any shape (UndocumentedError), and CallLog, Recording and metadata.custom are
// free objects. Their paths, methods, statuses and media types are checked all
// the same. Enums are marked open there: only words it lists are tried here.
// Of the platform, whose description is a second one, it cannot prove the events of a
// session's stream and what stands in payloads, columns and outputs. Requests of
// legacyListRuns are not judged: the validator takes all of the query for one parameter.
package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const (
	description = "../../resources/openapi/happyrobot-v1.openapi.yaml"
	key         = "contract-key"
)

// contract is the description, ready to judge.
type contract struct {
	validator  validator.Validator
	routes     *http.ServeMux    // finds the operation of a request
	operations map[string]string // its pattern to its id
	webhooks   map[string]*base.Schema
	schemas    schema_validation.SchemaValidator
	evidence   map[string]string // its id to how well it is known
	unjudged   map[string]bool   // ids of those whose requests the validator cannot judge
}

// load reads the description once: compiling it takes most of the time here.
var load = sync.OnceValues(func() (*contract, error) {
	spec, err := os.ReadFile(description)
	if err != nil {
		return nil, err
	}
	doc, err := libopenapi.NewDocument(spec)
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	c := &contract{
		routes: http.NewServeMux(), operations: map[string]string{}, evidence: map[string]string{},
		webhooks: map[string]*base.Schema{},
		schemas:  schema_validation.NewSchemaValidator(config.WithFormatAssertions()),
	}
	for name, item := range model.Model.Webhooks.FromOldest() {
		c.webhooks[name] = item.Post.RequestBody.Content.GetOrZero("application/json").Schema.Schema()
	}
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			pattern := strings.ToUpper(method) + " /api/v1" + path
			c.routes.Handle(pattern, http.NotFoundHandler())
			c.operations[pattern] = op.OperationId
			if known, ok := op.Extensions.Get("x-evidence"); ok {
				c.evidence[op.OperationId] = known.Value
			}
		}
	}
	c.validator = validator.NewValidatorFromV3Model(&model.Model,
		config.WithFormatAssertions(), config.WithContentAssertions(),
		config.WithRejectUndeclaredRequestBody(), config.WithRejectUnsupportedBodyContent(),
		// A misspelt member would pass as one of the additional ones. Strictness
		// cannot see through the two levels of allOf of a call's use case.
		config.WithStrictMode(), config.WithStrictIgnorePaths(
			"$.body**.custom.*", "$.body**.params.*", "$.body**.extraction.*", "$.body[*].metadata.dial_ref", "$.body**.use_case.*",
			// Of answers of which the description knows no members.
			"$.body.message", "$.body.status", "$.body.type", "$.body[*].event", "$.body.calls[*].slot",
		))
	c.validator.SetDocument(doc)
	return c, nil
})

func loaded(t *testing.T) *contract {
	t.Helper()
	c, err := load()
	require.NoError(t, err)
	return c
}

// exchange is one request with its answer, and what the contract says of it.
type exchange struct {
	operation       string
	status          int
	request, answer []*errors.ValidationError
}

// judge validates a request and its answer.
func (c *contract) judge(req *http.Request, res *http.Response) exchange {
	_, pattern := c.routes.Handler(req)
	x := exchange{operation: c.operations[pattern], status: res.StatusCode}
	legacy(req)
	if !c.unjudged[x.operation] {
		_, x.request = c.validator.ValidateHttpRequest(req)
	}
	_, x.answer = c.validator.ValidateHttpResponse(req, res)
	return x
}

// witness stands between a client and the pretend API, and judges what passes.
type witness struct {
	contract *contract
	api      http.Handler

	mu   sync.Mutex
	seen []exchange
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	again := func() *http.Request {
		r := req.Clone(req.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		return r
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, again())
	x := w.contract.judge(again(), rec.Result())
	w.mu.Lock()
	w.seen = append(w.seen, x)
	w.mu.Unlock()
	maps.Copy(rw.Header(), rec.Header())
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(rec.Body.Bytes())
}

// keeps says that nothing that passed breaks the contract.
func (w *witness) keeps(t *testing.T) map[string]int {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	answered := map[string]int{}
	for _, x := range w.seen {
		assert.NotEmpty(t, x.operation, "an operation that the description lacks")
		for _, e := range x.request {
			t.Errorf("%s: request: %v", x.operation, e)
		}
		for _, e := range x.answer {
			t.Errorf("%s: answer with status %d: %v", x.operation, x.status, e)
		}
		if x.status == http.StatusOK {
			answered[x.operation]++
		}
	}
	return answered
}

// serve puts a pretend API behind a witness.
func serve(t *testing.T, opts callsim.Options) (*witness, *callsim.Sim, string) {
	t.Helper()
	opts.APIKey = key
	sim := callsim.New(opts)
	t.Cleanup(sim.Close)
	w := &witness{contract: loaded(t), api: sim}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return w, sim, srv.URL + "/api/v1"
}
