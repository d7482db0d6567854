package words

import (
	"fmt"
	"slices"
	"strings"
)

// table writes a Markdown table, nothing without rows.
func table(header []string, rows [][]string) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	line(slices.Repeat([]string{"---"}, len(header)))
	for _, row := range rows {
		line(row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func code(word string) string { return "`" + word + "`" }

// OutcomeNames are the outcomes of a component.
func OutcomeNames(component string) (names []string) {
	for _, o := range Outcomes {
		if o.Component == component {
			names = append(names, o.Name)
		}
	}
	return names
}

// OutcomesOf is the table of a component's outcomes.
func OutcomesOf(component string) string {
	var rows [][]string
	for _, o := range Outcomes {
		if o.Component == component {
			rows = append(rows, []string{code(o.Name), o.When, o.Then})
		}
	}
	return table([]string{"Outcome", "When", "Then"}, rows)
}

// ReasonsOf is the table of a component's reasons.
func ReasonsOf(component string) string {
	var rows [][]string
	for _, r := range Reasons {
		if r.Component == component {
			rows = append(rows, []string{code(r.Name), code(r.Outcome), r.Meaning})
		}
	}
	return table([]string{"Reason", "Of", "Meaning"}, rows)
}

// MetadataOf is the table of the metadata that a component sets.
func MetadataOf(component string) string {
	var rows [][]string
	for _, m := range Metadata {
		if m.Component == component {
			rows = append(rows, []string{code(m.Name), m.Meaning})
		}
	}
	return table([]string{"Name", "Value"}, rows)
}

// MetricsOf is the table of a component's metrics.
func MetricsOf(component string) string {
	var rows [][]string
	for _, m := range Metrics {
		if slices.Contains(m.Components, component) {
			rows = append(rows, m.row())
		}
	}
	return table([]string{"Metric", "Kind", "Labels", "Meaning"}, rows)
}

func (m Metric) row() []string {
	var labels []string
	for _, label := range m.Labels {
		labels = append(labels, code(label))
	}
	return []string{code(m.Name), m.Kind, strings.Join(labels, ", "), m.Meaning}
}

// CauseNames are the causes for which a component pauses.
func CauseNames(component string) (names []string) {
	for _, c := range Causes {
		if slices.Contains(c.Components, component) {
			names = append(names, c.Name)
		}
	}
	return names
}

// CausesOf is the table of what a component waits for.
func CausesOf(component string) string {
	var rows [][]string
	for _, c := range Causes {
		if slices.Contains(c.Components, component) {
			rows = append(rows, []string{code(c.Name), c.Meaning})
		}
	}
	return table([]string{"Cause", "Meaning"}, rows)
}

// Page is the page of all words. link gives the address of a component's page.
func Page(link func(component string) string) string {
	var b strings.Builder
	part := func(title, prose string, header []string, rows [][]string) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n", title, prose, table(header, rows))
	}
	of := func(component string) string { return "[" + code(component) + "](" + link(component) + ")" }
	all := func(components []string) string {
		var links []string
		for _, c := range components {
			links = append(links, of(c))
		}
		return strings.Join(links, ", ")
	}
	b.WriteString("# Words\n\nEvery word that the components give a message, a log line or a metric. Words that were released stay.\n")

	var rows [][]string
	for _, o := range Outcomes {
		rows = append(rows, []string{code(o.Name), of(o.Component), o.When, o.Then})
	}
	part("Outcomes", "How a message ended: metadata "+code(MetaOutcome)+", and label `outcome` of metrics.", []string{"Outcome", "Component", "When", "Then"}, rows)

	rows = nil
	for _, r := range Reasons {
		rows = append(rows, []string{code(r.Name), of(r.Component), code(r.Outcome), r.Meaning})
	}
	part("Reasons", "Why a message ended so: metadata "+code(MetaReason)+", and the second part of a failure's text.", []string{"Reason", "Component", "Of", "Meaning"}, rows)

	rows = nil
	for _, c := range Causes {
		rows = append(rows, []string{code(c.Name), all(c.Components), c.Meaning})
	}
	part("Causes of a pause", "What the stream waits for while a component is paused: label `cause` of "+code(MetricPaused)+". No message fails for it. The log has the cause in brackets, such as `Dialing paused (cause): ...` and `Dialing resumed (cause)`.", []string{"Cause", "Component", "Meaning"}, rows)

	rows = nil
	for _, m := range Metadata {
		rows = append(rows, []string{code(m.Name), of(m.Component), m.Meaning})
	}
	part("Metadata", "What is not known is absent.", []string{"Name", "Component", "Value"}, rows)

	rows = nil
	for _, m := range Metrics {
		rows = append(rows, slices.Insert(m.row(), 1, all(m.Components)))
	}
	part("Metrics", "Values of labels come from fixed lists.", []string{"Metric", "Component", "Kind", "Labels", "Meaning"}, rows)
	return b.String()
}
