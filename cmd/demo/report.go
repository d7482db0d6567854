package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// report prints what became of the leads, and checks it against the ground truth.
func report(l leads, t tally, truth *callsim.Sim, file string) error {
	if err := os.WriteFile(file, append(bytes.Join(t.enriched, []byte("\n")), '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the enriched events: %w", err)
	}
	placed := truth.CallsBy("metadata.lead_id")
	total := 0
	for _, n := range placed {
		total += n
	}
	reasons := map[string]int{}
	for _, f := range t.failed {
		reasons[f.Outcome+", "+f.Reason]++
	}

	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(what string, n int) { _, _ = fmt.Fprintf(w, "%s\t%5d\n", what, n) }
	row("leads read", len(l.lines))
	row("calls placed", total)
	row("duplicates not dialed", t.outcomes["duplicate"])
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		row(reason, reasons[reason])
	}
	row("events enriched", len(t.enriched))
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Printf("\nRead back from topic %s (and %s):\n", enrichedTopic, file)
	byStatus, transcripts := map[string]int{}, 0
	for _, end := range t.ends {
		byStatus[string(happyrobot.Status(end.Status).Canonical())]++
		if end.Transcript != "" {
			transcripts++
		}
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		row("leads whose call ended: "+status, byStatus[status])
	}
	row("with a transcript", transcripts)
	if err := w.Flush(); err != nil {
		return err
	}

	var wrong []error
	for id := range l.once {
		if placed[id] != 1 {
			wrong = append(wrong, fmt.Errorf("%s was called %d times", id, placed[id]))
		}
	}
	if total != len(l.once) {
		wrong = append(wrong, fmt.Errorf("%d calls were placed for %d leads", total, len(l.once)))
	}
	if t.outcomes["duplicate"] != l.repeated {
		wrong = append(wrong, fmt.Errorf("%d duplicates were told of %d", t.outcomes["duplicate"], l.repeated))
	}
	if bad := len(l.lines) - len(l.once) - l.repeated; len(t.failed) != bad {
		wrong = append(wrong, fmt.Errorf("%d leads failed, and %d are bad", len(t.failed), bad))
	}
	if len(t.enriched) != t.receipts() {
		wrong = append(wrong, fmt.Errorf("%d of %d events were enriched", len(t.enriched), t.receipts()))
	}
	for _, call := range truth.Calls() {
		lead, _ := call.Custom["lead_id"].(string)
		if end := t.ends[lead]; end.ID != call.ID || !happyrobot.Status(end.Status).Is(happyrobot.Status(call.EndsAs)) {
			wrong = append(wrong, fmt.Errorf("%s ended as %q, and the topic tells %q", lead, call.EndsAs, end.Status))
		}
	}
	if len(t.ends) != len(l.once) {
		wrong = append(wrong, fmt.Errorf("the topic tells the ends of %d leads, and there are %d", len(t.ends), len(l.once)))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("this disagrees with the pretend API's own count: %w", errors.Join(wrong...))
	}
	fmt.Println("The pretend API's own count agrees: every good lead was called once, and ended as the topic tells.")
	return nil
}
