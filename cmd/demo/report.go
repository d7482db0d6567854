package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
)

// report prints what became of the leads, and checks it against the ground truth.
func report(l leads, t tally, api *generation, file string) error {
	if err := os.WriteFile(file, append(bytes.Join(t.enriched, []byte("\n")), '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the enriched events: %w", err)
	}
	truth, made := api.truth(), map[string]int{}
	for _, f := range truth {
		made[f.lead]++
	}
	reasons := map[string]int{}
	for _, f := range t.failed {
		reasons[f.Outcome+", "+f.Reason]++
	}

	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(what string, n int) { _, _ = fmt.Fprintf(w, "%s\t%5d\n", what, n) }
	row("leads read", len(l.lines))
	row(api.words.made, len(truth))
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
		byStatus[api.spell(end.status)]++
		if end.transcript != "" {
			transcripts++
		}
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		row(api.words.whose+": "+status, byStatus[status])
	}
	row("with a transcript", transcripts)
	if err := w.Flush(); err != nil {
		return err
	}

	var wrong []error
	for id := range l.once {
		if made[id] != 1 {
			wrong = append(wrong, fmt.Errorf("%s: %d for %s", api.words.made, made[id], id))
		}
	}
	if len(truth) != len(l.once) {
		wrong = append(wrong, fmt.Errorf("%s: %d, for %d leads", api.words.made, len(truth), len(l.once)))
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
	for _, f := range truth {
		if end := t.ends[f.lead]; end.id != f.id || api.spell(end.status) != api.spell(f.endsAs) {
			wrong = append(wrong, fmt.Errorf("%s ended as %q, and the topic tells %q", f.lead, f.endsAs, end.status))
		}
	}
	if len(t.ends) != len(l.once) {
		wrong = append(wrong, fmt.Errorf("the topic tells the ends of %d leads, and there are %d", len(t.ends), len(l.once)))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("this disagrees with the pretend API's own count: %w", errors.Join(wrong...))
	}
	fmt.Printf("The pretend API's own count agrees: every good lead %s, and ended as the topic tells.\n", api.words.once)
	return nil
}
