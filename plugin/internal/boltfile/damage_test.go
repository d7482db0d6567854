package boltfile

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// wholeFile is the bytes of a file with pages of each kind that ours have.
func wholeFile(t *testing.T) (content []byte, pageSize int) {
	t.Helper()
	cache := openTest(t, withDefaultTTL)
	items := make([]store.Item, 3000)
	for i := range items {
		items[i] = store.Item{Key: fmt.Sprintf("%08x", uint32(i)*2654435761), Value: make([]byte, 100+max(0, 100-i)*100)}
	}
	require.NoError(t, cache.SetAll(t.Context(), items))
	require.NoError(t, cache.SetAll(t.Context(), items[:2000]))
	pageSize = int(cache.file.shared.handle.Load().pageSize)
	closeTest(t, cache)
	content, err := os.ReadFile(cache.file.shared.path)
	require.NoError(t, err)
	return content, pageSize
}

// pagesInUse are the pages of a kind that the last transaction uses.
func pagesInUse(t *testing.T, content []byte, pageSize int, kind uint16) (ids []int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "look.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		for id := 2; ; id++ {
			info, err := tx.Page(id)
			if err != nil || info == nil {
				return err
			}
			if info.Type != "free" && binary.NativeEndian.Uint16(content[id*pageSize+8:]) == kind {
				ids = append(ids, id)
			}
			id += info.OverflowCount
		}
	}))
	return ids
}

// withFreelist is the file after a program has written it that keeps the list of free pages in it.
func withFreelist(t *testing.T, content []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "listed.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func TestADamagedPageIsAnErrorWhenTheFileIsOpened(t *testing.T) {
	content, pageSize := wholeFile(t)
	listed := withFreelist(t, content)
	branch, leaf, free := pagesInUse(t, content, pageSize, branchPage), pagesInUse(t, content, pageSize, leafPage), pagesInUse(t, listed, pageSize, freelistPage)
	require.Greater(t, len(branch), 1)
	require.Greater(t, len(leaf), 100)
	require.Len(t, free, 1)
	kinds := []struct {
		name    string
		content []byte
		pages   []int
	}{
		{"first head", content, []int{0}}, {"second head", content, []int{1}}, {"both heads", content, []int{0, 1}},
		{"branch", content, branch[:1]}, {"another branch", content, branch[len(branch)-1:]},
		{"leaf", content, leaf[:1]}, {"another leaf", content, leaf[len(leaf)/2 : len(leaf)/2+1]},
		{"list of free pages", listed, free},
	}
	random := rand.New(rand.NewPCG(1, 2))
	damages := map[string]func(page []byte){
		"zeros": func(page []byte) { clear(page) },
		"noise": func(page []byte) {
			for i := range page {
				page[i] = byte(random.Uint32())
			}
		},
		"noise behind its number": func(page []byte) { // which a head does not survive either
			for i := range page[10:] {
				page[10+i] = byte(random.Uint32())
			}
		},
	}
	for _, kind := range kinds {
		for damage, do := range damages {
			t.Run(kind.name+" of "+damage, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "ledger.db")
				damaged := append([]byte{}, kind.content...)
				for _, id := range kind.pages {
					do(damaged[id*pageSize : (id+1)*pageSize])
				}
				require.NoError(t, os.WriteFile(path, damaged, 0o600))
				for range 2 { // it is not left locked
					_, err := open(testConfig{path: path})
					require.ErrorContains(t, err, path)
					require.ErrorContains(t, err, "not a usable bbolt file")
					require.ErrorContains(t, err, "put a copy in its place")
				}
			})
		}
	}
	for _, whole := range [][]byte{content, listed} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		assertValue(t, openTest(t, atPath(path)), "00000000", string(make([]byte, 10_100)))
	}
}

// No byte of a page makes it more than an error, or nothing.
func TestNoDamagedByteEndsTheProcess(t *testing.T) {
	content, pageSize := wholeFile(t)
	pages := slices.Concat(pagesInUse(t, content, pageSize, branchPage)[:1], pagesInUse(t, content, pageSize, leafPage)[:2])
	random := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(t.TempDir(), "ledger.db")
	refused := 0
	for range 60 {
		damaged := append([]byte{}, content...)
		at := pages[random.IntN(len(pages))]*pageSize + random.IntN(300)
		damaged[at] ^= byte(1 + random.IntN(255))
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		cache, err := open(testConfig{path: path})
		if err != nil {
			refused++
			continue
		}
		for i := range 50 {
			_, _ = cache.Get(t.Context(), fmt.Sprintf("%08x", uint32(i)*2654435761))
		}
		_ = cache.Set(t.Context(), "another", nil, nil)
		_ = cache.file.Close(t.Context())
	}
	assert.Greater(t, refused, 20, "many are noticed at once")
}

func TestAFileThatIsDamagedWhileItIsOpenIsAnError(t *testing.T) {
	content, pageSize := wholeFile(t)
	of := func(t *testing.T, path string, kind uint16) []int { // it was rewritten when it was opened
		t.Helper()
		now, err := os.ReadFile(path)
		require.NoError(t, err)
		return pagesInUse(t, now, pageSize, kind)
	}
	over := func(t *testing.T, path string, ids ...int) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		for _, id := range ids {
			_, err := file.WriteAt(make([]byte, pageSize), int64(id*pageSize))
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	}
	damages := map[string]func(t *testing.T, path string){
		"cut to nothing":    func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) },
		"cut in the middle": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, int64(8*pageSize))) },
		"text over it": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("not a ledger"), 0o600))
		},
		"heads":    func(t *testing.T, path string) { over(t, path, 0, 1) },
		"leaves":   func(t *testing.T, path string) { over(t, path, of(t, path, leafPage)...) },
		"branches": func(t *testing.T, path string) { over(t, path, of(t, path, branchPage)...) },
		"everything": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, make([]byte, len(content)), 0o600))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.db")
			require.NoError(t, os.WriteFile(path, content, 0o600))
			log := &told{}
			cache, err := open(testConfig{path: path, log: log})
			require.NoError(t, err)
			require.NoError(t, cache.Set(t.Context(), "before", nil, nil))
			log.forget()

			damage(t, path)
			var wg sync.WaitGroup
			for reader := range 8 {
				wg.Go(func() {
					for i := range 300 {
						_, err := cache.Get(t.Context(), fmt.Sprintf("%08x", uint32(i*8+reader)*2654435761))
						if err != nil {
							assert.ErrorContains(t, err, path)
						}
					}
				})
			}
			wg.Wait()
			for range 2 {
				err = cache.Add(t.Context(), "after", nil, nil)
				require.ErrorContains(t, err, path)
				require.ErrorContains(t, err, "is damaged")
				require.ErrorContains(t, err, "put a copy in its place")
			}
			_, err = cache.Get(t.Context(), "after")
			require.ErrorContains(t, err, "is damaged")
			require.Eventually(t, func() bool { return len(log.all()) > 0 }, time.Minute, time.Millisecond)
			assert.Contains(t, log.all()[len(log.all())-1], "WARN Cache file unusable, nothing is written to it: ")
			closeTest(t, cache)

			require.NoError(t, os.WriteFile(path, content, 0o600))
			again := openTest(t, atPath(path))
			require.NoError(t, again.Set(t.Context(), "after", nil, nil), "a copy in its place is used, and is not locked")
		})
	}
}

func TestAnOldCopyOverAnOpenFileIsNoticed(t *testing.T) {
	cache := openTest(t)
	require.NoError(t, cache.Set(t.Context(), "a", []byte("1"), nil))
	old, err := os.ReadFile(cache.file.shared.path)
	require.NoError(t, err)
	require.NoError(t, cache.Set(t.Context(), "b", []byte("1"), nil))
	require.NoError(t, os.WriteFile(cache.file.shared.path, old, 0o600)) // cp does the same
	require.ErrorContains(t, cache.Add(t.Context(), "b", nil, nil), "something else wrote to it")
}
