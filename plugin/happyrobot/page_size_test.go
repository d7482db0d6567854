package happyrobot_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// heavy serves calls of given weights, and says of a page that weighs more than 32 that
// its reply is larger than any that is read.
func heavy(weights []int) (http.RoundTripper, *[]int) {
	var limits []int
	return roundTrip(func(req *http.Request) *http.Response {
		q := req.URL.Query()
		skip, _ := strconv.Atoi(q.Get("skip"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		if limit == 0 {
			limit = 2000
		}
		limits = append(limits, limit)
		weight, items := 0, []string{}
		for i := skip; i < min(len(weights), skip+limit); i++ {
			weight += weights[i]
			items = append(items, fmt.Sprintf(`{"id":"c%d"}`, i))
		}
		res := respond(req, 200, `{"calls":[`+strings.Join(items, ",")+`]}`)
		if weight > 32 {
			res.ContentLength = 33 << 20
		}
		return res
	}), &limits
}

func TestAPageThatIsTooLargeIsHalvedAndNoCallIsPassedOver(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		weights := make([]int, rng.IntN(300))
		for i := range weights {
			if weights[i] = rng.IntN(2); rng.IntN(20) == 0 {
				weights[i] = rng.IntN(40)
			}
		}
		limit := []int{0, 1, 7, 100, 1000}[rng.IntN(5)]
		transport, limits := heavy(weights)
		n := 0
		for call, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{Limit: limit}) {
			require.NoError(t, err)
			if weights[n] > 32 {
				require.Equal(t, happyrobot.Call{}, call, "seed %d: what cannot be read is told all the same", seed)
			} else {
				require.Equal(t, fmt.Sprintf("c%d", n), call.ID, "seed %d: each call once, in order", seed)
			}
			n++
		}
		require.Equal(t, len(weights), n, "seed %d", seed)
		for _, asked := range *limits {
			if limit > 0 {
				require.LessOrEqual(t, asked, limit)
			}
		}
	}
}

func TestPagesGrowAgainBehindAHeavyStretch(t *testing.T) {
	weights := make([]int, 20_000)
	for i := 100; i < 200; i++ {
		weights[i] = 20
	}
	transport, limits := heavy(weights)
	n := 0
	for _, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{Limit: 1000}) {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, len(weights), n)
	assert.Equal(t, 1000, (*limits)[len(*limits)-1], "as large as before")
	assert.Contains(t, *limits, 1)
	assert.Less(t, len(*limits), 700)
}

func TestAnItemThatIsNoObjectIsToldAllTheSame(t *testing.T) {
	_, client := answering(t, reply{body: `{"calls":[{"id":"a"},null,"b",7,{"id":"c"}]}`}, reply{body: `{"calls":[]}`})
	var ids []string
	for call, err := range client(nil).ListCalls(t.Context(), happyrobot.ListCallsQuery{}) {
		require.NoError(t, err)
		ids = append(ids, call.ID)
	}
	assert.Equal(t, []string{"a", "", "", "", "c"}, ids)
}
