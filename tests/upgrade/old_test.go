package upgrade

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// What follows is how commit 4602f85 read numbers, and made keys and requests. It is
// frozen: ledgers of that program are in use, so a change here hides a call that is
// placed twice.

const oldNumberID = "64f0c0de00000000000000c1" // as in testdata

// oldNumber is the number that was dialed for a text.
func oldNumber(text, region string) (e164 string, dialed bool) {
	parsed, err := phonenumbers.Parse(text, region)
	if err != nil || !phonenumbers.IsPossibleNumber(parsed) {
		return "", false
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), true
}

// oldKey is the key of a message, "" for one that is rejected.
func oldKey(template *service.InterpolatedString, msg *service.Message) string {
	key, err := template.TryString(msg)
	if key = strings.TrimSpace(key); err != nil || key == "null" {
		return ""
	}
	return key
}

// oldRequest is what the API received for a lead. With no key its digest is the
// reference.
func oldRequest(number, name, id, key string) string {
	before := `{"number_id":"` + oldNumberID + `","phone_number":"` + number +
		`","params":{"customer_name":` + oldText(name) + `},"metadata":{"lead_id":` + id
	ref := oldDigest("call\x00" + before + "}}")
	if key != "" {
		ref = oldDigest("key\x00" + key)
	}
	return before + `,"dial_ref":"` + ref + `"}}`
}

func oldDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// oldText writes a text as JSON. Texts that are plain ASCII were not escaped as
// encoding/json does it.
func oldText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		quoted, _ := json.Marshal(s)
		return string(quoted)
	}
	return `"` + s + `"`
}
