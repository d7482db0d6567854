package platform_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// shelf is a list of runs that is served in pages.
type shelf struct {
	runs    []string                           // each as JSON
	most    int                                // of a page; 0 is any
	refuses int                                // pages larger than this are refused with status; 0 is none
	status  int                                // default 400
	say     func(page, size, total int) string // the pagination; nil is camelCase
	large   int                                // pages of more bytes are too large; 0 is none
	cut     bool                               // it counts in pages of the size that was asked for, and gives no more than most of each
	ignore  bool                               // the page that is asked for
	hide    map[int]bool                       // runs that the key may not see; they leave gaps

	mu    sync.Mutex
	sizes []int
}

func camel(page, size, total int) string {
	pages := (total + size - 1) / size
	return fmt.Sprintf(`{"page":%d,"pageSize":%d,"totalPages":%d,"totalRecords":%d,"hasNextPage":%t,"hasPreviousPage":%t}`, page, size, pages, total, page < pages, page > 1)
}

func snake(page, size, total int) string {
	pages := (total + size - 1) / size
	return fmt.Sprintf(`{"page":"%d","page_size":"%d","total_pages":%d,"total_records":%d,"has_next_page":%t,"has_previous_page":%t}`, page, size, pages, total, page < pages, page > 1)
}

func (s *shelf) RoundTrip(req *http.Request) (*http.Response, error) {
	q := req.URL.Query()
	page, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("page_size"))
	s.mu.Lock()
	s.sizes = append(s.sizes, size)
	s.mu.Unlock()
	if s.refuses > 0 && size > s.refuses {
		status := s.status
		if status == 0 {
			status = http.StatusBadRequest
		}
		return fixed{status: status, body: `{"error":"page_size"}`}.RoundTrip(req)
	}
	asked := size
	if s.most > 0 {
		size = min(size, s.most)
	}
	if s.ignore {
		page = 1
	}
	if !s.cut {
		asked = size
	}
	from := min((page-1)*asked, len(s.runs))
	var found []string
	for i := from; i < min(from+size, len(s.runs)); i++ {
		if !s.hide[i] {
			found = append(found, s.runs[i])
		}
	}
	body := `{"data":[` + strings.Join(found, ",") + `]`
	say := s.say
	if say == nil {
		say = camel
	}
	if p := say(page, size, len(s.runs)); p != "" {
		body += `,"pagination":` + p
	}
	body += "}"
	res, err := fixed{body: body}.RoundTrip(req)
	if s.large > 0 && len(body) > s.large {
		res.ContentLength = 1 << 40
	}
	return res, err
}

func manyRuns(n int) (runs []string) {
	for i := range n {
		runs = append(runs, fmt.Sprintf(`{"id":"run-%d","status":"completed"}`, i))
	}
	return runs
}

// listed are the ids of a list, "" for a run that could be any.
func (s *shelf) listed(t *testing.T, size int) ([]string, error) {
	t.Helper()
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: "https://api.example", Transport: s, Retry: happyrobot.Retry{InitialInterval: 1, MaxInterval: 1, MaxElapsedTime: 1}}})
	require.NoError(t, err)
	ids := []string{}
	for run, err := range c.ListRuns(t.Context(), "w", platform.RunQuery{PageSize: size}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, run.ID)
	}
	return ids, nil
}

func idsOf(n int) []string {
	ids := []string{}
	for i := range n {
		ids = append(ids, fmt.Sprintf("run-%d", i))
	}
	return ids
}

func TestAListIsReadToItsEndHoweverItIsPaged(t *testing.T) {
	none := func(int, int, int) string { return "" }
	for name, build := range map[string]func(total int) *shelf{
		"camelCase":     func(int) *shelf { return &shelf{} },
		"snake_case":    func(int) *shelf { return &shelf{say: snake} },
		"no pagination": func(int) *shelf { return &shelf{say: none} },
		"null":          func(int) *shelf { return &shelf{say: func(int, int, int) string { return "null" }} },
		"an odd one": func(int) *shelf {
			return &shelf{say: func(int, int, int) string { return `{"page":{},"hasNextPage":null}` }}
		},
		"pages alone": func(int) *shelf {
			return &shelf{say: func(p, s, n int) string { return fmt.Sprintf(`{"page":%d,"totalPages":%d}`, p, (n+s-1)/s) }}
		},
		"capped":                func(int) *shelf { return &shelf{most: 3} },
		"capped without a word": func(int) *shelf { return &shelf{most: 3, say: none} },
		"capped, size untold": func(int) *shelf {
			return &shelf{most: 3, say: func(p, s, n int) string { return fmt.Sprintf(`{"hasNextPage":%t}`, p*s < n) }}
		},
		"cut without a word":      func(int) *shelf { return &shelf{most: 3, cut: true, say: none} },
		"refused above 100":       func(int) *shelf { return &shelf{refuses: 100} },
		"refused above 100, 422":  func(int) *shelf { return &shelf{refuses: 100, status: 422} },
		"too large in many bytes": func(int) *shelf { return &shelf{large: 400} },
		"a next page is denied": func(int) *shelf {
			return &shelf{say: func(p, s, n int) string {
				return fmt.Sprintf(`{"page":%d,"pageSize":%d,"totalRecords":%d,"hasNextPage":false}`, p, s, n)
			}}
		},
		"a next page is always": func(int) *shelf {
			return &shelf{say: func(p, s, n int) string {
				return fmt.Sprintf(`{"page":%d,"pageSize":%d,"totalPages":%d,"hasNextPage":true}`, p, s, (n+s-1)/s)
			}}
		},
	} {
		for _, total := range []int{0, 1, 2, 6, 7, 8, 13, 100, 101, 260} {
			for _, size := range []int{0, 1, 2, 7, 250, 5000} {
				s := build(total)
				s.runs = manyRuns(total)
				ids, err := s.listed(t, size)
				require.NoError(t, err, "%s: %d by %d", name, total, size)
				require.Equal(t, idsOf(total), ids, "%s: %d by %d: each once, in order", name, total, size)
				for _, asked := range s.sizes {
					require.True(t, asked >= 1 && asked <= 2000)
				}
			}
		}
	}
}

func TestRunsThatTheKeyMayNotSeeLeaveNoOthersOut(t *testing.T) {
	s := &shelf{runs: manyRuns(20), hide: map[int]bool{0: true, 4: true, 5: true, 6: true, 7: true, 19: true}}
	ids, err := s.listed(t, 4)
	require.NoError(t, err)
	assert.Len(t, ids, 14)
	assert.Equal(t, []string{"run-1", "run-2", "run-3", "run-8"}, ids[:4], "a page of none is not the end")
}

func TestARunThatIsTooLargeAloneIsThereAndCouldBeAny(t *testing.T) {
	s := &shelf{runs: manyRuns(9), large: 400}
	s.runs[4] = `{"id":"run-4","data":{"x":"` + strings.Repeat("y", 500) + `"}}`
	ids, err := s.listed(t, 8)
	require.NoError(t, err)
	want := idsOf(9)
	want[4] = ""
	assert.Equal(t, want, ids)
}

func TestAnOddItemHasItsPlace(t *testing.T) {
	s := &shelf{runs: manyRuns(5)}
	s.runs[1], s.runs[3] = `null`, `"text"`
	ids, err := s.listed(t, 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"run-0", "", "run-2", "", "run-4"}, ids)
}

func TestAnAPIThatIgnoresPagesIsNotListedForEver(t *testing.T) {
	s := &shelf{runs: manyRuns(50), ignore: true, say: func(int, int, int) string { return "" }}
	ids, err := s.listed(t, 10)
	require.ErrorIs(t, err, platform.ErrSamePage)
	assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err))
	assert.Equal(t, idsOf(10), ids)

	// Whether a page of runs that is shorter than asked for is all of them decides
	// whether a lead is called.
	s = &shelf{runs: manyRuns(3), ignore: true, say: func(int, int, int) string { return "" }}
	_, err = s.listed(t, 10)
	require.ErrorIs(t, err, platform.ErrSamePage)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Sessions of a run are few, and nobody says that their list has pages.
func TestAListWithoutPagesIsAllThereIs(t *testing.T) {
	for n, want := range map[int]error{1: nil, 3: nil, 99: nil, 100: platform.ErrSamePage} {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"id":"s%d","run_id":"r"}`, i)
		}
		for _, form := range []string{`{"data":[%s]}`, `[%s]`} {
			asked := 0
			c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: "https://api.example", Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1, Request: req, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(form, strings.Join(items, ","))))}, nil
			})}})
			require.NoError(t, err)
			found, err := 0, error(nil)
			for _, e := range c.ListRunSessions(t.Context(), "r") {
				if err = e; e == nil {
					found++
				}
			}
			require.ErrorIs(t, err, want)
			assert.Equal(t, n, found)
			assert.Equal(t, 2, asked)
		}
	}
}

func TestAnAPIWhosePagesChangeTheirSizeAllTheTimeIsNotListedForEver(t *testing.T) {
	n := 0
	s := &shelf{runs: manyRuns(500)}
	s.say = func(page, size, total int) string {
		n++
		return camel(page, size+n, total)
	}
	_, err := s.listed(t, 10)
	require.ErrorContains(t, err, "changes all the time")
	assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err))
}

func TestARefusedPageThatIsSmallIsRefused(t *testing.T) {
	s := &shelf{runs: manyRuns(5), refuses: 1}
	_, err := s.listed(t, 50)
	assert.Equal(t, happyrobot.ClassRefused, happyrobot.ClassOf(err))
	assert.Equal(t, []int{50}, s.sizes)
	s = &shelf{runs: manyRuns(5), refuses: 1}
	_, err = s.listed(t, 500)
	assert.Equal(t, happyrobot.ClassRefused, happyrobot.ClassOf(err))
	assert.Equal(t, []int{500, 100}, s.sizes)
}

func TestThePagesThatAnAPITakesAreRemembered(t *testing.T) {
	s := &shelf{runs: manyRuns(150), refuses: 100}
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: "https://api.example", Transport: s}})
	require.NoError(t, err)
	for range 2 {
		runs, err := collect(c.ListRuns(t.Context(), "w", platform.RunQuery{PageSize: 500}))
		require.NoError(t, err)
		require.Len(t, runs, 150)
	}
	assert.Equal(t, []int{500, 100, 100, 100, 100}, s.sizes)
}

func TestAListThatIsNoListIsUnreadable(t *testing.T) {
	for _, body := range []string{`{}`, `{"data":null}`, `{"data":{}}`, `null`, `"x"`, `{"calls":[]}`} {
		c := offline(t, answer{body: body})
		_, err := collect(c.ListRuns(t.Context(), "w", platform.RunQuery{}))
		assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err), body)
	}
	c := offline(t, answer{body: `[]`})
	runs, err := collect(c.ListRuns(t.Context(), "w", platform.RunQuery{}))
	require.NoError(t, err, "a bare list")
	assert.Empty(t, runs)
}

func TestAPageIsReadWithWhatItSays(t *testing.T) {
	s := &shelf{runs: manyRuns(7)}
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: "https://api.example", Transport: s}})
	require.NoError(t, err)
	page, err := c.ListRunsPage(t.Context(), "w", platform.RunQuery{Page: 2, PageSize: 3})
	require.NoError(t, err)
	assert.Equal(t, platform.Pagination{Page: 2, Size: 3, Pages: 3, Records: 7, More: true, MoreKnown: true}, page.Pagination)
	assert.Len(t, page.Items, 3)
	assert.True(t, json.Valid(page.Items[0].Raw))
}
