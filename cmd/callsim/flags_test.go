package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// parsed gives flags to the program.
func parsed(t *testing.T, args ...string) (*flags, error) {
	t.Helper()
	set := flag.NewFlagSet("callsim", flag.ContinueOnError)
	set.SetOutput(&strings.Builder{})
	f := newFlags(set)
	return f, set.Parse(args)
}

func TestThePageNamesEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../plugin/callsim/README.md")
	require.NoError(t, err)
	set := flag.NewFlagSet("callsim", flag.ContinueOnError)
	newFlags(set)
	set.VisitAll(func(f *flag.Flag) {
		assert.Contains(t, string(page), "`-"+f.Name+"`")
		assert.NotEmpty(t, f.Usage, f.Name)
	})
}

func TestFlagsBecomeOptions(t *testing.T) {
	f, err := parsed(t, "-api-key", "k", "-seed", "7", "-visibility", "1s", "-webhook-twice", "0.5", "-keep-order",
		"-platform-answers", "none, two", "-platform-workflow", `{"slug":"a"}`, "-platform-workflow", `{"slug":"b","columns":"late"}`, "-platform-key-expires", "1h",
		"-platform-fate", `{"value":"ref-1","sessions":["busy"]}`, "-platform-arrival", `{"count":5,"payload":{"dial_ref":"ref-1"}}`,
		"-platform-fault", `{"kind":"no_id"}`, "-fault", `{"kind":"part"}`)
	require.NoError(t, err)
	assert.Equal(t, callsim.Options{APIKey: "k", Seed: 7, Visibility: time.Second, KeepOrder: true, Webhooks: callsim.Webhooks{Twice: 0.5}}, f.v1)
	assert.Len(t, f.faults, 1)
	opts, err := f.platform.options(f.v1)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), opts.KeyExpires, time.Minute)
	opts.KeyExpires = time.Time{}
	assert.Equal(t, platform.Options{
		APIKey: "k", Seed: 7, Visibility: time.Second, Webhooks: platform.Webhooks{Twice: 0.5}, Answers: []platform.Answer{"none", "two"},
		Workflows: []platform.Workflow{{Slug: "a"}, {Slug: "b", Columns: "late"}},
	}, opts)
	sim := platform.New(opts)
	require.NoError(t, f.platform.prepare(sim))
	assert.Equal(t, map[string]int{"ref-1": 5}, sim.RunsBy("dial_ref"))
	assert.Equal(t, "busy", sim.Runs()[0].Outcome)
	assert.Len(t, sim.Faults(), 1)
}

func TestFlagsThatSayNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-platform-workflow", `{"trigger":"hook"}`}, {"-platform-workflow", `{"slugs":"a"}`}, {"-platform-fault", `{"kind":"part"}`}, {"-fault", `{"kind":"no_id"}`},
		{"-platform-fate", `{"turns":-1}`}, {"-platform-arrival", `[]`},
	} {
		_, err := parsed(t, args...)
		require.Error(t, err, "%v", args)
	}
	f, err := parsed(t, "-platform-answers", "ids")
	require.NoError(t, err)
	_, err = f.platform.options(f.v1)
	require.ErrorContains(t, err, "answers")
	f, err = parsed(t, "-platform-arrival", `{"workflow":"none"}`)
	require.NoError(t, err)
	require.Error(t, f.platform.prepare(platform.New(platform.Options{})))
}
