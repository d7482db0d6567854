package plugin

import (
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// escapedLineEnd is what Benthos makes of a line break in an environment variable: two
// characters, which YAML reads as a line break only between double quotes.
const escapedLineEnd = `\n`

// withoutLineEnd takes a line break off the end of a secret. Files that secrets come
// from end in one, as text files do, and no header can carry it. Every field with a
// secret that is sent or compared uses this.
func withoutLineEnd(field, secret string, log pause.Logger) string {
	rest, cut := secret, false
	for {
		shorter := strings.TrimRight(rest, " \t\r\n")
		cut = cut || strings.ContainsAny(rest[len(shorter):], "\r\n")
		if !strings.HasSuffix(shorter, escapedLineEnd) {
			rest = shorter
			break
		}
		rest, cut = strings.TrimSuffix(shorter, escapedLineEnd), true
	}
	if !cut {
		return secret
	}
	log.Warnf("The line break at the end of `%s` was removed: it is no part of a secret. Keep the secret without one, as `printf %%s` writes it.", field)
	return rest
}
