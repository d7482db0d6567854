package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
)

//go:embed leads.jsonl
var leadsFile []byte

// leads are the lines of the file, and what must become of them.
type leads struct {
	lines [][]byte
	// once holds the ids that must be called exactly once.
	once map[string]bool
	// repeated counts the lines that name a lead again.
	repeated int
}

// readLeads reads the file. Which leads are good is told by their ids: the file
// keeps 900 and up for those that must be refused.
func readLeads() (leads, error) {
	l := leads{once: map[string]bool{}}
	for line := range bytes.Lines(leadsFile) {
		line = bytes.TrimSpace(line)
		l.lines = append(l.lines, line)
		var lead struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(line, &lead) != nil || lead.ID == "" || lead.ID >= "lead-900" {
			continue
		}
		if l.once[lead.ID] {
			l.repeated++
		}
		l.once[lead.ID] = true
	}
	if len(l.lines) == 0 {
		return l, errors.New("leads.jsonl is empty")
	}
	return l, nil
}
