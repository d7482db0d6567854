package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

const slFieldMaxLineBytes = "max_line_bytes"

func init() {
	service.MustRegisterBatchScannerCreator("happyrobot_leads", leadsScannerSpec(), newLeadsScannerFromParsed)
}

func leadsScannerSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Reads a file of leads: one JSON object per line.").
		Description(description("scanner_happyrobot_leads")).
		Field(service.NewIntField(slFieldMaxLineBytes).
			Description("The most bytes of a line, or of the rest of a file that is not JSON lines, that a message holds, blanks before a line's text not counted. A longer one is cut, ends with `…`, and fails as `invalid_json`.").
			Default(1 << 20).
			LintRule(`root = if this < 1 { [ "` + "`max_line_bytes`" + ` must be at least 1" ] }`).
			Advanced())
}

type leadsScannerCreator struct{ maxLine int }

func newLeadsScannerFromParsed(conf *service.ParsedConfig, _ *service.Resources) (service.BatchScannerCreator, error) {
	maxLine, err := conf.FieldInt(slFieldMaxLineBytes)
	if err != nil {
		return nil, err
	}
	if maxLine < 1 {
		return nil, fmt.Errorf("%s: must be at least 1", slFieldMaxLineBytes)
	}
	return leadsScannerCreator{maxLine: maxLine}, nil
}

func (c leadsScannerCreator) Create(file io.ReadCloser, ack service.AckFunc, _ *service.ScannerSourceDetails) (service.BatchScanner, error) {
	return service.AutoAggregateBatchScannerAcks(&leadsScanner{file: file, text: bufio.NewReader(file), maxLine: c.maxLine}, ack), nil
}

func (leadsScannerCreator) Close(context.Context) error { return nil }

// leadsScanner reads one file.
type leadsScanner struct {
	file    io.Closer
	text    *bufio.Reader
	maxLine int

	begun   bool   // it has been checked for UTF-16
	inside  bool   // a line that is not blank has been read
	pending []byte // a message of its own that comes next, or nil
}

// cutMark ends what was cut. No JSON ends with it, so what it ends is not dialed.
const cutMark = "…"

var (
	utf8Mark  = []byte("\xef\xbb\xbf")
	utf16Mark = [][]byte{[]byte("\xff\xfe"), []byte("\xfe\xff")}
)

// NextBatch gives the next line that is not blank, or all that is left of the file.
func (s *leadsScanner) NextBatch(context.Context) (service.MessageBatch, error) {
	content, err := s.next()
	if err != nil {
		return nil, err
	}
	return service.MessageBatch{service.NewMessage(content)}, nil
}

func (s *leadsScanner) next() ([]byte, error) {
	if rest := s.pending; rest != nil {
		s.pending = nil
		return rest, nil
	}
	if !s.begun {
		s.begun = true
		for _, mark := range utf16Mark {
			if start, _ := s.text.Peek(len(mark)); bytes.Equal(start, mark) {
				return s.rest(nil)
			}
		}
	}
	for {
		line, cut, err := s.line()
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 && !cut {
			continue
		}
		first := !s.inside
		s.inside = true
		switch {
		case cut:
			return append(line, cutMark...), nil
		case opensDocument(line, first):
			return s.document(line)
		}
		return line, nil
	}
}

// document is the JSON that a line opens, as one message that no dial takes for a
// lead. An object that is complete would be one, so it comes in two parts, the line
// and what follows it, neither of which is JSON.
func (s *leadsScanner) document(line []byte) ([]byte, error) {
	all, err := s.rest(append(bytes.Clone(line), '\n'))
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) && json.Valid(all) {
		s.pending = all[len(line):]
		return line, nil
	}
	return all, nil
}

// opensDocument says whether a line begins or continues JSON that does not end with
// it. In such JSON an object that has lines of its own follows one of [ , and :, so the
// line before ends with that, and begins with punctuation. A { or [ at the end tells by
// itself. The last lines of a broken or cut array may look like leads in spite of that,
// so a file that begins with [ is none, whatever follows. A comment, a fence of Markdown
// and a call of a function may hold leads, too, and a comma before one makes it an element.
func opensDocument(line []byte, first bool) bool {
	line = bytes.TrimSpace(line)
	begin, end := line[0], line[len(line)-1]
	switch {
	case begin == '[' && (first || !json.Valid(line)), end == '[', end == '{':
		return true
	case begin == ',', end == '(', bytes.HasPrefix(line, []byte("/*")), bytes.HasPrefix(line, []byte("```")):
		return true
	case end == ',', end == ':':
		return strings.IndexByte("{[]},:", begin) >= 0
	}
	return false
}

// line reads to the end of a line, and keeps no more than maxLine bytes of its text.
func (s *leadsScanner) line() (line []byte, cut bool, err error) {
	line, err = s.indent()
	if err != nil {
		return nil, false, err
	}
	most := len(line) + s.maxLine
	for {
		part, err := s.text.ReadSlice('\n')
		keep := min(len(part), most+len("\r\n")-len(line))
		line = append(line, part[:keep]...)
		cut = cut || keep < len(part)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
		case err != nil:
			return nil, false, err
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > most {
			line, cut = line[:most], true
		}
		return line, cut, nil
	}
}

// indent reads the blanks before the text of a line. It leaves out the byte order marks
// among them, as files have that were joined, and all blanks if they are more than a
// text may be.
func (s *leadsScanner) indent() ([]byte, error) {
	var kept []byte
	for count := 0; ; {
		start, err := s.text.Peek(len(utf8Mark))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		size := 1
		switch {
		case bytes.Equal(start, utf8Mark):
			size = len(utf8Mark)
		case len(start) == 0 || strings.IndexByte(" \t\r", start[0]) < 0:
			return kept, nil
		default:
			if count++; count <= s.maxLine {
				kept = append(kept, start[0])
			} else {
				kept = nil
			}
		}
		_, _ = s.text.Discard(size) // it has been read
	}
}

// rest reads to the end of the file, and keeps no more than maxLine bytes, those that
// are given among them.
func (s *leadsScanner) rest(content []byte) ([]byte, error) {
	more, err := io.ReadAll(io.LimitReader(s.text, int64(s.maxLine)))
	if err != nil {
		return nil, err
	}
	dropped, err := io.Copy(io.Discard, s.text)
	if err != nil {
		return nil, err
	}
	if content = append(content, more...); len(content) > s.maxLine || dropped > 0 {
		return append(content[:min(len(content), s.maxLine)], cutMark...), nil
	}
	return content, nil
}

func (s *leadsScanner) Close(context.Context) error { return s.file.Close() }
