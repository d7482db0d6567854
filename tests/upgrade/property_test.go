package upgrade

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keyTemplates are the keys of configs in testdata.
var keyTemplates = map[string]string{
	"json_id":  `${! json("id") }`,
	"this_id":  `${! this.id }`,
	"two_part": `${! json("campaign") }/${! json("id") }`,
}

// What is sent for a message is byte for byte what the old program sent: the same
// number, the same reference, the same contents. Otherwise the message is not sent.
// A message that the old program refused may be sent in any form.
func TestRequestsAreThoseOfTheLastVersion(t *testing.T) {
	seed := uint64(1) // UPGRADE_SEED plays other leads
	if text := os.Getenv("UPGRADE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	w := writer{rand.New(rand.NewPCG(seed, 0))}
	path := filepath.Join(t.TempDir(), "ledger.db")
	configs := []string{"digest", "json_id", "this_id", "two_part"}
	total, before, after, ordinary, ordinaryBefore := 0, 0, 0, 0, 0
	for i, region := range textRegions {
		p := play{name: configs[i%len(configs)] + "/" + region}
		api := startAPI(t, "5ec0")
		s := startStream(t, p, api, path)
		messages := 100
		if testing.Short() {
			messages = 20
		}
		texts, want := make([]string, messages), make([]string, messages)
		ordinaries := make([]bool, messages)
		for n := range messages {
			m := w.message(t, p, n)
			texts[n], want[n], ordinaries[n] = m.text, m.oldRequest, m.ordinary
		}
		for part := range slices.Chunk(upTo(messages), 20) {
			batch := make([]numbered, len(part))
			for j, n := range part {
				batch[j] = numbered{n, []byte(texts[n])}
			}
			s.deliver(batch...)
		}
		s.stop()
		sent := map[int]bool{}
		for _, call := range api.placed() {
			n := numberOf(t, call.body)
			assert.False(t, sent[n], "a message is sent once: %s", texts[n])
			sent[n] = true
			if want[n] != "" {
				assert.Equal(t, want[n], string(call.body), "%s: the request of the old program, or none: %s", p.name, texts[n])
			}
		}
		for n := range messages {
			total++
			if want[n] != "" {
				before++
				if ordinaries[n] {
					ordinaryBefore++
				}
			}
			if sent[n] {
				after++
				if ordinaries[n] {
					ordinary++
				}
			}
		}
		if t.Failed() {
			break // one region shows enough
		}
	}
	t.Logf("UPGRADE_SEED=%d: of %d messages the old program takes %d, this one sends %d; of ordinary ones %d and %d",
		seed, total, before, after, ordinaryBefore, ordinary)
	assert.Greater(t, ordinary, ordinaryBefore/2, "ordinary numbers must not be refused, else this shows nothing")
}

// upTo is 0, 1, ... n-1.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// message is a lead, and what the old program sent for it: "" for nothing.
type message struct {
	text, oldRequest string
	ordinary         bool // neither its number nor its id is odd
}

func (w writer) message(t *testing.T, p play, n int) message {
	t.Helper()
	phone, ordinary := w.phone(p.region())
	id, shown := w.id()
	campaign := w.value()
	if w.IntN(2) == 0 {
		id, campaign = fmt.Sprintf(`"lead-%s-%d"`, p.region(), n), `"c1"`
		shown = id
	} else {
		ordinary = false
	}
	name := fmt.Sprintf("lead %d ", n) + pick(w, "Ada", "Zoë", "<Eve> & Bob", `"q"`, "\t", "日本")
	quotedPhone, err := json.Marshal(phone)
	require.NoError(t, err)
	quotedName, err := json.Marshal(name)
	require.NoError(t, err)
	m := message{ordinary: ordinary}
	if p.config() == "digest" {
		m.text = fmt.Sprintf(`{"number_id":%q,"phone_number":%s,"params":{"customer_name":%s},"metadata":{"lead_id":%s}}`, oldNumberID, quotedPhone, quotedName, id)
	} else {
		m.text = fmt.Sprintf(`{"campaign":%s,"id":%s,"phone":%s,"name":%s}`, campaign, id, quotedPhone, quotedName)
	}
	number, dialed := oldNumber(phone, p.region())
	if !dialed {
		return m
	}
	key := ""
	if template, keyed := keyTemplates[p.config()]; keyed {
		compiled, err := service.NewInterpolatedString(template)
		require.NoError(t, err)
		if key = oldKey(compiled, service.NewMessage([]byte(m.text))); key == "" {
			return m
		}
	}
	m.oldRequest = oldRequest(number, name, shown, key)
	return m
}

// numberOf finds the message that a request is for.
func numberOf(t *testing.T, request []byte) (n int) {
	t.Helper()
	var call struct {
		Params struct {
			Name string `json:"customer_name"`
		} `json:"params"`
	}
	require.NoError(t, json.Unmarshal(request, &call))
	_, err := fmt.Sscanf(call.Params.Name, "lead %d ", &n)
	require.NoError(t, err)
	return n
}
