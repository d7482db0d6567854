package plugin

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// keyFileRest is how often a key file is read at most. All of it is read: the times of
	// a mounted secret need not change with it.
	keyFileRest = time.Second
	// keyFileSize is far more than a key has: the file is not one of keys.
	keyFileSize = 64 << 10
	// formerKeys is how many keys are kept out of errors after they were replaced.
	formerKeys = 16
)

// keyFile is an API key in a file, which is read again when a key is asked for.
type keyFile struct {
	path    string
	log     pause.Logger
	trouble *pause.Notice

	mu     sync.Mutex
	readAt time.Time
	known  []string // newest first; never changed in place
}

// openKeyFile reads a key for the first time.
func openKeyFile(path string, log pause.Logger) (*keyFile, error) {
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	f := &keyFile{path: path, log: log, readAt: time.Now(), known: []string{key}}
	f.trouble = pause.NewNotice(log, pause.Wording{
		Begins: "API key file cannot be read again, so requests keep the last key: %v",
		Lasts:  "API key file still cannot be read, since %s; requests keep the last key: %v",
		Ends:   "API key file is readable again, after %v.",
	}, nil)
	return f, nil
}

// keys has the key to use, and after it those that it took the place of.
func (f *keyFile) keys() []string {
	f.mu.Lock()
	due := time.Since(f.readAt) >= keyFileRest
	if due {
		f.readAt = time.Now() // meanwhile others use what is known
	}
	known := f.known
	f.mu.Unlock()
	if !due {
		return known
	}
	key, err := readKey(f.path)
	if err != nil {
		f.trouble.Trouble(err)
		return known
	}
	f.trouble.Recovered()
	return f.replace(key)
}

func (f *keyFile) replace(key string) []string {
	f.mu.Lock()
	changed := key != f.known[0]
	if changed {
		former := slices.DeleteFunc(slices.Clone(f.known), func(k string) bool { return k == key })
		f.known = append([]string{key}, former[:min(len(former), formerKeys)]...)
	}
	known := f.known
	f.mu.Unlock()
	if changed {
		f.log.Infof("API key replaced: %q has a new one.", f.path)
	}
	return known
}

// readKey reads a key. Its errors name the file, and say nothing of what is in it.
func readKey(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, keyFileSize+1))
	if err != nil {
		return "", err
	}
	if len(content) > keyFileSize {
		return "", fmt.Errorf("%q: has more than %d bytes; it must hold the key and nothing else", path, keyFileSize)
	}
	key := strings.TrimSpace(string(content))
	if err := happyrobot.ValidateAPIKey(key); err != nil {
		return "", fmt.Errorf("%q: %w", path, err)
	}
	return key, nil
}
