package plugin_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// four leads, of which the third cannot be called.
var four = []string{
	`{"id":"L1","group":"a","phone":"+12025550101"}`,
	`{"id":"L2","group":"b","phone":"+12025550102"}`,
	`{"id":"L3","group":"a","phone":"no number"}`,
	`{"id":"L4","group":"b","phone":"+12025550104"}`,
}

// Whatever changes the batch above the dial, and wherever: the failed lead, and it
// alone, is in the failures, and each good one is called once and has a receipt.
func TestTheFailedMessageIsTheOneThatIsFiled(t *testing.T) {
	t.Parallel()
	allGood := []string{"L1", "L2", "L4"}
	for name, change := range map[string]struct {
		processors string
		called     []string
		failed     string
	}{
		"no change":           {`mapping: root = this`, allGood, "L3"},
		"filter":              {`mapping: 'root = if this.id == "L1" { deleted() }'`, []string{"L2", "L4"}, "L3"},
		"split":               {`split: {size: 1}`, allGood, "L3"},
		"split in two":        {`split: {size: 3}`, allGood, "L3"},
		"group_by":            {`group_by_value: {value: '${! json("group") }'}`, allGood, "L3"},
		"reorder":             {`select_parts: {parts: [3, 2, 1, 0]}`, allGood, "L3"},
		"filter and reorder":  {`select_parts: {parts: [3, 2, 1]}`, []string{"L2", "L4"}, "L3"},
		"archive, unarchive":  {`try: [{archive: {format: json_array}}, {mapping: 'root = this.sort_by(lead -> lead.phone)'}, {unarchive: {format: json_array}}]`, allGood, "L3"},
		"archive to one":      {`archive: {format: lines}`, nil, strings.Join(four, "\n")},
		"doubled by an array": {`try: [{mapping: 'root = [ this, this ]'}, {unarchive: {format: json_array}}]`, allGood, "L3"},
	} {
		places := []string{"pipeline.processors", "output.processors"}
		if name == "filter" {
			places = append(places, "batching.processors") // which is refused whatever stands there
		}
		for _, place := range places {
			t.Run(name+" in "+place, func(t *testing.T) {
				t.Parallel()
				f := newFiling(t, four...)
				pipeline, output := "", f.dialing()
				switch place {
				case "pipeline.processors":
					pipeline = change.processors
				case "output.processors":
					output += "\nprocessors: [ " + flow(change.processors) + " ]"
				case "batching.processors":
					output = strings.Replace(output, "period: 5ms}", "period: 5ms, processors: [ "+flow(change.processors)+" ]}", 1)
					_, err := f.build(t, pipeline, output, "")
					require.ErrorContains(t, err, "batching.processors: not supported")
					return
				}
				stop := f.start(t, pipeline, output, "")
				f.await(t)
				stop(false)

				calls, receipts := map[string]int{}, map[string]int{}
				repeats := 1
				if strings.HasPrefix(name, "doubled") {
					repeats = 2
				}
				for _, id := range change.called {
					calls[id] = 1
					receipts[id+" accepted"] = 1
					if repeats == 2 {
						receipts[id+" duplicate"] = 1
					}
				}
				assert.Equal(t, calls, f.srv.Sim.CallsBy("metadata.lead_id"))
				assert.Equal(t, receipts, f.receipts.told())
				assert.Equal(t, map[string]int{change.failed + " rejected": repeats}, f.failures.told())
			})
		}
	}
}

// flow writes a processor on one line, as YAML in flow style.
func flow(processor string) string { return "{" + processor + "}" }

func TestStartRefusesProcessorsInBatching(t *testing.T) {
	t.Parallel()
	b := service.NewStreamBuilder()
	b.DisableLinting()
	require.NoError(t, b.AddInputYAML(`generate: {mapping: "root = {}", count: 1}`))
	require.NoError(t, b.AddOutputYAML(`happyrobot_dial: {api_key: k, batching: {count: 5, processors: [{mapping: root = this}]}}`))
	stream, err := b.Build()
	if err == nil {
		err = stream.Run(t.Context())
	}
	require.ErrorContains(t, err, "batching.processors: not supported")
	assert.ErrorContains(t, err, "`pipeline`", "it says what to do instead")
}

func TestAFailureTellsAllThatIsKnown(t *testing.T) {
	t.Parallel()
	f := newFiling(t,
		`{"id":"refused","phone":"+12025550102","big":12345678901234567890}`,
		`{"id":"a","phone":"+12025550101"}`,
		`lead 3; nobody`,
	)
	f.in.batch[0].MetaSetMut("source", "crm")
	f.in.batch[0].MetaSetMut("happyrobot_call_id", "of another dial")
	f.in.batch[0].SetError(errors.New("failed before"))
	f.srv.Sim.Refuse("+12025550102", http.StatusUnprocessableEntity)
	stop := f.start(t, "", f.dialing("dial_errored: true"), "")
	f.await(t)
	stop(false)

	byLead := map[string]record{}
	for _, r := range f.failures.all() {
		byLead[r.lead()] = r
	}
	require.Len(t, byLead, 2)
	refused := byLead["refused"]
	assert.Equal(t, "rejected", refused.Outcome)
	assert.Equal(t, "refused", refused.Reason)
	assert.Contains(t, refused.Details, "422")
	assert.NotContains(t, refused.Details, "http_status=", "details are details alone")
	assert.Equal(t, http.StatusUnprocessableEntity, refused.HTTPStatus)
	assert.Len(t, refused.DialRef, 32)
	assert.NotContains(t, refused.raw, "call_id")
	assert.False(t, refused.errored, "the message was failed on before; its record is sound")
	assert.Equal(t, "crm", refused.meta["source"])
	assert.Equal(t, "rejected", refused.meta["happyrobot_outcome"])
	assert.Equal(t, "refused", refused.meta["happyrobot_reason"])
	assert.Equal(t, "422", fmt.Sprint(refused.meta["happyrobot_http_status"]))
	assert.NotContains(t, refused.meta, "happyrobot_call_id")

	text := byLead["lead 3; nobody"]
	assert.Equal(t, map[string]any{"outcome": "rejected", "reason": "invalid_json", "details": text.Details, "lead": "lead 3; nobody"}, text.raw)

	receipts := f.receipts.all()
	require.Len(t, receipts, 1)
	assert.Equal(t, "a", receipts[0].lead())
}

// The same key for another call: the record names the call that has it.
func TestAConflictTellsTheKnownCall(t *testing.T) {
	t.Parallel()
	f := newFiling(t, lead("a", "+12025550101"), lead("a", "+12025550102"))
	stop := f.start(t, "", f.dialing(), "")
	f.await(t)
	stop(false)
	require.Len(t, f.receipts.all(), 1)
	require.Len(t, f.failures.all(), 1)
	assert.Equal(t, "conflict", f.failures.all()[0].Outcome)
	assert.Equal(t, "dedupe_conflict", f.failures.all()[0].Reason)
	assert.Equal(t, f.receipts.all()[0].CallID, f.failures.all()[0].CallID)
	assert.NotEmpty(t, f.failures.all()[0].CallID)
}

// A lead is kept as it came, whatever call_mapping and the dial make of it.
func TestALeadIsKeptAsItCame(t *testing.T) {
	t.Parallel()
	const good = `{"number_id":"64f0c0de00000000000000c1","phone_number":"(202) 555-0101","metadata":{"dial_ref":"theirs"},"n":1.50}`
	const bad = `{"number_id":"64f0c0de00000000000000c1","phone_number":"nobody","metadata":{"dial_ref":"theirs"},"n":1.50}`
	f := newFiling(t, good, bad)
	stop := f.start(t, "", fmt.Sprintf(`happyrobot_dial: {api_key: k, default_region: US, extra_members: [n], base_url: %q, batching: {count: 2}, receipts: {shelf: {of: receipts}}, failures: {shelf: {of: failures}}}`, f.srv.URL), "")
	f.await(t)
	stop(false)
	for records, want := range map[*shelf]string{f.receipts: good, f.failures: bad} {
		require.Len(t, records.all(), 1)
		got := service.NewMessage(nil)
		got.SetStructured(records.all()[0].Lead)
		b, err := got.AsBytes()
		require.NoError(t, err)
		assert.JSONEq(t, want, string(b))
	}
}

func TestADryRunGivesReceiptsOfWhatWouldBeRequested(t *testing.T) {
	t.Parallel()
	f := newFiling(t, four...)
	stop := f.start(t, "", f.dialing("dry_run: true"), "")
	f.await(t)
	stop(false)
	assert.Equal(t, map[string]int{"L1 dry_run": 1, "L2 dry_run": 1, "L4 dry_run": 1}, f.receipts.told())
	assert.Equal(t, map[string]int{"L3 rejected": 1}, f.failures.told())
	assert.Empty(t, f.srv.Sim.Stats().Requests)
	first := f.receipts.all()[0]
	call := first.Call.(map[string]any)
	assert.Equal(t, "+12025550101", call["phone_number"])
	assert.Equal(t, map[string]any{"lead_id": "L1", "dial_ref": first.DialRef}, call["metadata"])
}

var errDown = errors.New("the shelf is down")

func down(int, service.MessageBatch) error { return errDown }

// While an output is down the stream waits, and says so once. Nothing is lost then,
// and nothing doubled.
func TestNothingIsLostOrDoubledWhileAnOutputIsDown(t *testing.T) {
	t.Parallel()
	for _, cause := range []string{"receipts", "failures"} {
		t.Run(cause, func(t *testing.T) {
			f := newFiling(t, four...)
			broken, other := f.receipts, f.failures
			if cause == "failures" {
				broken, other = f.failures, f.receipts
			}
			broken.set(down)
			stop := f.start(t, `mapping: 'root = if this.id == "L1" { deleted() }'`, f.dialing(), "")
			require.Eventually(t, func() bool { return broken.tried() >= 3 && len(other.all()) > 0 }, time.Minute, time.Millisecond,
				"the other output has its records meanwhile")
			assert.False(t, f.in.done())
			assert.NotContains(t, f.logs.String(), "Dialing resumed")
			broken.set(nil)
			f.await(t)
			stop(false)

			assert.Equal(t, map[string]int{"L2": 1, "L4": 1}, f.srv.Sim.CallsBy("metadata.lead_id"))
			assert.Equal(t, map[string]int{"L2 accepted": 1, "L4 accepted": 1}, f.receipts.told())
			assert.Equal(t, map[string]int{"L3 rejected": 1}, f.failures.told())
			assert.Equal(t, 1, strings.Count(f.logs.String(), "Dialing paused ("+cause+"): "+errDown.Error()))
			assert.Equal(t, 1, strings.Count(f.logs.String(), "Dialing resumed ("+cause+")"))
			assert.Equal(t, 1, strings.Count(f.logs.String(), "Dialing paused"))
		})
	}
}

func TestThePauseLineRepeatsNothingOfALead(t *testing.T) {
	t.Parallel()
	f := newFiling(t, `{"id":"L3","phone":"nobody at 2025550177","name":"Ada Sample"}`)
	f.failures.set(func(_ int, batch service.MessageBatch) error {
		content, _ := batch[0].AsBytes()
		return fmt.Errorf("the shelf refuses %s", content)
	})
	stop := f.start(t, "", f.dialing(), "")
	require.Eventually(t, func() bool { return strings.Contains(f.logs.String(), "Dialing paused (failures): the shelf refuses") }, time.Minute, time.Millisecond)
	f.failures.set(nil)
	f.await(t)
	stop(false)
	for line := range strings.Lines(f.logs.String()) {
		if strings.Contains(line, "Dialing paused") {
			assert.NotContains(t, line, "Ada")
			assert.NotContains(t, line, "2025550177")
		}
	}
}

// An output may write some of a batch, and its word on which is worth nothing where it
// has processors of its own that change the batch.
func TestNoRecordIsLostToAnOutputThatWritesSome(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]string{
		"":        "",
		"filter":  `[{mapping: 'root = if this.lead.id == "L2" { deleted() }'}]`,
		"reorder": `[{select_parts: {parts: [2, 1, 0]}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiling(t, four...)
			f.receipts.set(func(try int, batch service.MessageBatch) error {
				for i, msg := range batch {
					if b, _ := msg.AsBytes(); try < 5 && strings.Contains(string(b), `"L4"`) {
						return service.NewBatchError(batch, errDown).Failed(i, errDown)
					}
				}
				return nil
			})
			output := f.dialing()
			if own != "" {
				output = strings.Replace(output, "receipts: {shelf: {of: receipts}}", "receipts: {shelf: {of: receipts}, processors: "+own+"}", 1)
			}
			stop := f.start(t, "", output, "")
			f.await(t)
			stop(false)
			told := f.receipts.told()
			assert.Equal(t, 1, told["L4 accepted"])
			assert.Positive(t, told["L1 accepted"])
			assert.LessOrEqual(t, told["L1 accepted"], 2, "written again once at most")
			assert.Equal(t, name != "filter", told["L2 accepted"] > 0)
		})
	}
}

// A record that the output never takes keeps no other from being written.
func TestARecordThatIsNeverTakenHoldsNoOther(t *testing.T) {
	t.Parallel()
	f := newFiling(t, lead("x", "nobody"), lead("poison", "nobody"), lead("y", "nobody"))
	f.failures.set(func(_ int, batch service.MessageBatch) error {
		for _, msg := range batch {
			if b, _ := msg.AsBytes(); strings.Contains(string(b), "poison") {
				return errors.New("too large")
			}
		}
		return nil
	})
	stop := f.start(t, "", f.dialing(), "")
	require.Eventually(t, func() bool { return len(f.failures.all()) == 2 }, time.Minute, time.Millisecond)
	assert.Equal(t, map[string]int{"x rejected": 1, "y rejected": 1}, f.failures.told())
	assert.False(t, f.in.done())
	f.failures.set(nil)
	f.await(t)
	stop(false)
	assert.Equal(t, map[string]int{"x rejected": 1, "poison rejected": 1, "y rejected": 1}, f.failures.told())
}

// A stream that stops while an output is down gives the batch back. Delivered again,
// leads that were called are duplicates, and the failed one is filed then.
func TestAStopWhileAnOutputIsDownLosesNothing(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"receipts", "failures", "both", "failures that do not connect"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			f := newFiling(t, four...)
			ledger := fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q}\n", t.TempDir()+"/ledger.db")
			broken := []*shelf{f.failures}
			switch place {
			case "receipts":
				broken = []*shelf{f.receipts}
			case "both":
				broken = append(broken, f.receipts)
			}
			for _, s := range broken {
				s.set(down)
				s.closed = strings.HasSuffix(place, "connect")
			}
			filter := `mapping: 'root = if this.id == "L1" { deleted() }'`
			stop := f.start(t, filter, f.dialing("ledger: ledger"), ledger)
			require.NoError(t, f.srv.Sim.AwaitCalls(soon(t), 2))
			require.Eventually(t, func() bool { return broken[0].tried() > 0 || broken[0].closed }, time.Minute, time.Millisecond)
			stop(true)
			require.False(t, f.in.done(), "nothing is acknowledged that is not filed")
			assert.NotContains(t, f.logs.String(), "Dialing resumed")
			before := f.receipts.told()

			for _, s := range broken {
				s.set(nil)
				s.closed = false
			}
			stop = f.start(t, filter, f.dialing("ledger: ledger"), ledger)
			f.await(t)
			stop(false)
			assert.Equal(t, map[string]int{"L2": 1, "L4": 1}, f.srv.Sim.CallsBy("metadata.lead_id"))
			if place == "receipts" || place == "both" {
				assert.Empty(t, before)
			}
			told := f.receipts.told()
			assert.Equal(t, 1, told["L2 duplicate"])
			assert.Equal(t, 1, told["L4 duplicate"])
			if place == "receipts" { // the failures worked both times
				assert.Equal(t, map[string]int{"L3 rejected": 2}, f.failures.told())
			} else {
				assert.Equal(t, map[string]int{"L3 rejected": 1}, f.failures.told())
			}
		})
	}
}

// What is undecided at a stop has no record: the whole batch is delivered again.
func TestWhatIsUndecidedAtAStopHasNoRecord(t *testing.T) {
	t.Parallel()
	f := newFiling(t, append(four, `{"id":"L5","phone":"+12025550105"}`)...)
	ledger := fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q}\n", t.TempDir()+"/ledger.db")
	refusal := f.srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized, To: "+12025550105"})
	filter := `mapping: 'root = if this.id == "L1" { deleted() }'`
	output := f.dialing("ledger: ledger", "max_calls_per_request: 1")
	stop := f.start(t, filter, output, ledger)
	require.NoError(t, f.srv.Sim.AwaitCalls(soon(t), 2))
	require.NoError(t, f.srv.Sim.AwaitStruck(soon(t), refusal, 2), "the stream is paused, and tries again")
	stop(true)
	require.False(t, f.in.done())
	assert.Empty(t, f.failures.all())
	assert.Empty(t, f.receipts.all())

	f.srv.Sim.ClearFaults()
	stop = f.start(t, filter, output, ledger)
	f.await(t)
	stop(false)
	assert.Equal(t, map[string]int{"L2": 1, "L4": 1, "L5": 1}, f.srv.Sim.CallsBy("metadata.lead_id"))
	assert.Equal(t, map[string]int{"L2 duplicate": 1, "L4 duplicate": 1, "L5 accepted": 1}, f.receipts.told())
	assert.Equal(t, map[string]int{"L3 rejected": 1}, f.failures.told())
}

func TestAWarningSaysWhatIsMissingWithoutFailures(t *testing.T) {
	t.Parallel()
	for output, warned := range map[string]bool{`happyrobot_dial: {api_key: k}`: true, `happyrobot_dial: {api_key: k, failures: {drop: {}}}`: false} {
		s := run(t, parts{output: output})
		require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), "is now active") }, time.Minute, time.Millisecond)
		assert.Equal(t, warned, strings.Contains(s.logs.String(), "No `failures` output is set"), output)
	}
}
