package happyrobot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// answerWith serves one answer to every request.
func answerWith(status int, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

// Place a call, and find it among those that the API created.
func ExampleClient_CreateOutboundCalls() {
	api := answerWith(http.StatusOK, `[{"id":"65ee00000000000000000101","metadata":{"to":"+12025550101","custom":{"lead_id":"lead-1"}}}]`)
	defer api.Close()
	client, err := happyrobot.New(happyrobot.Options{APIKey: "key", BaseURL: api.URL})
	if err != nil {
		fmt.Println(err)
		return
	}

	created, err := client.CreateOutboundCalls(context.Background(), []happyrobot.OutboundCall{{
		NumberID:    "64f0c0de00000000000000c1",
		PhoneNumber: "+12025550101",
		UseCaseID:   "64f0c0de00000000000000a1",
		Params:      map[string]any{"customer_name": "Ada"},
		Metadata:    map[string]any{"lead_id": "lead-1"},
	}})
	if err != nil {
		fmt.Println(happyrobot.ClassOf(err)) // unknown: the phone may be ringing
		return
	}
	for _, call := range created { // in any order
		fmt.Println(call.Metadata.CustomText("lead_id"), call.ID)
	}
	// Output: lead-1 65ee00000000000000000101
}

// List all calls since a time, oldest first.
func ExampleClient_ListCalls() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("skip") != "" {
			_, _ = io.WriteString(w, `{"calls":[]}`) // an empty page is the end
			return
		}
		_, _ = io.WriteString(w, `{"calls":[{"id":"65ee00000000000000000101","status":"Completed"},{"id":"65ee00000000000000000102","status":"no-answer"}]}`)
	}))
	defer api.Close()
	client, err := happyrobot.New(happyrobot.Options{APIKey: "key", BaseURL: api.URL})
	if err != nil {
		fmt.Println(err)
		return
	}

	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	query := happyrobot.ListCallsQuery{Type: happyrobot.Outbound, From: since, Sort: "asc", Limit: 500}
	for call, err := range client.ListCalls(context.Background(), query) {
		if err != nil {
			fmt.Println("listing ended:", err)
			return
		}
		fmt.Println(call.ID, call.Status.Canonical(), call.Status.Final())
	}
	// Output:
	// 65ee00000000000000000101 Completed true
	// 65ee00000000000000000102 No answer true
}

// Decide by its class what to do about a dial that failed.
func ExampleClassOf() {
	for _, status := range []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusBadGateway} {
		api := answerWith(status, `{"message":"no"}`)
		client, err := happyrobot.New(happyrobot.Options{APIKey: "key", BaseURL: api.URL})
		if err != nil {
			fmt.Println(err)
			return
		}

		_, err = client.CreateOutboundCalls(context.Background(), []happyrobot.OutboundCall{{PhoneNumber: "+12025550101"}})

		switch class := happyrobot.ClassOf(err); {
		case class == happyrobot.ClassUnknown:
			fmt.Println(status, class, "- look the call up before anything else")
		case class.Repeatable():
			fmt.Println(status, class, "- wait, and send it again")
		default:
			fmt.Println(status, class, "- leave it")
		}
		api.Close()
	}
	// Output:
	// 401 setup - wait, and send it again
	// 422 refused - leave it
	// 429 throttled - wait, and send it again
	// 502 unknown - look the call up before anything else
}

// An invalid argument gives another error than an answer of the API.
func ExampleClient_Do() {
	api := answerWith(http.StatusOK, `{"minutes":12}`)
	defer api.Close()
	client, err := happyrobot.New(happyrobot.Options{APIKey: "key", BaseURL: api.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	usage, _ := happyrobot.FindOperation("getUsage")
	answer, err := client.Do(context.Background(), usage, happyrobot.Arguments{})
	fmt.Println(string(answer), err)

	note, _ := happyrobot.FindOperation("addNote")
	_, err = client.Do(context.Background(), note, happyrobot.Arguments{Path: map[string]string{"id": "too short"}})
	var field *happyrobot.FieldError
	fmt.Println(errors.As(err, &field), err)
	// Output:
	// {"minutes":12} <nil>
	// true path.id: must be an id of exactly 24 characters, not 9
}

// Encode a call once, give it a mark of one's own, and place what was encoded.
func ExampleOutboundCall_Encode() {
	call := happyrobot.OutboundCall{PhoneNumber: "+12025550101", Metadata: map[string]any{"lead_id": "lead-1"}}
	encoded, err := call.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(encoded.Mark("ref", "r-1").Bytes()))
	fmt.Println(string(encoded.Bytes()))
	// Output:
	// {"phone_number":"+12025550101","metadata":{"lead_id":"lead-1","ref":"r-1"}}
	// {"phone_number":"+12025550101","metadata":{"lead_id":"lead-1"}}
}

// Read what the API posts to a webhook.
func ExampleParseEvent() {
	event, err := happyrobot.ParseEvent([]byte(`{"type":"end","call":{"id":"65ee00000000000000000101","status":"Completed"},
		"content":{"messages":[{"role":"assistant","content":"Hello?"},{"role":"user","content":"Hi."}]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(event.Kind, event.CallID, event.Status)
	fmt.Println(strings.ReplaceAll(event.Transcript.Text(), "\n", " / "))
	// Output:
	// call_hook 65ee00000000000000000101 Completed
	// assistant: Hello? / user: Hi.
}
