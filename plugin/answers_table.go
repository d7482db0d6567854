package plugin

import (
	"fmt"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// dialOperation is the operation with which calls are placed.
const dialOperation = "createOutboundCallsBatched"

// answersTable is what the API's answers to a dial mean, as the client classifies them.
func answersTable() string {
	statuses := map[happyrobot.Class][]int{}
	for status := 200; status <= 599; status++ {
		class := (&happyrobot.Error{Op: dialOperation, Status: status}).Class()
		statuses[class] = append(statuses[class], status)
	}
	var b strings.Builder
	b.WriteString("| Answer to a request that places calls | Then |\n| --- | --- |\n")
	for _, row := range []struct {
		class          happyrobot.Class
		without, after string // what it is beside statuses, and what follows
	}{
		{happyrobot.ClassNotSent, "refused connection, name or certificate, or failed before anything of the request had left", "the stream waits (`unanswered`), and the calls are sent again"},
		{happyrobot.ClassThrottled, "", "the stream waits (`rate_limited`), as long as `Retry-After` says, and the calls are sent again. Several calls are looked up first"},
		{happyrobot.ClassSetup, "", "the stream waits (`setup`) until the key, the account or the URL is put right. Several calls are looked up first"},
		{happyrobot.ClassRefused, "", "a call alone is `rejected`. Several calls are looked up, and then sent in halves until the refused call stands alone. After 20 such calls in a row with one status the stream waits (`refusals`)"},
		{happyrobot.ClassUnknown, "no answer, or one that is cut short, unreadable or incomplete", "the calls are looked up, and then `on_unknown` decides. No other request leaves until the API answers again (`unanswered`)"},
	} {
		answer := []string{}
		if row.without != "" {
			answer = append(answer, row.without)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(append(answer, spans(statuses[row.class])...), ", "), row.after)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// spans writes statuses in ascending order, those of a whole hundred as 3xx, and those of
// 2xx not at all: a readable one has no such meaning.
func spans(statuses []int) (written []string) {
	for i := 0; i < len(statuses); {
		from, to := statuses[i], statuses[i]
		for i++; i < len(statuses) && statuses[i] == to+1 && statuses[i]/100 == from/100; i++ {
			to = statuses[i]
		}
		switch {
		case from < 300:
		case from%100 == 0 && to%100 == 99:
			written = append(written, fmt.Sprintf("%dxx", from/100))
		case from == to:
			written = append(written, fmt.Sprint(from))
		default:
			written = append(written, fmt.Sprintf("%d–%d", from, to))
		}
	}
	return written
}
