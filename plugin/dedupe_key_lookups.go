package plugin

import (
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// A look-up is what an expression takes from the message: this.id, json("c.id"),
// @lead. What an expression makes of them may hide that one is missing: a hash of
// "c1/null" looks like any other. So each is judged by itself.
//
// Only the user's words excuse one: `this.campaign | ""`, `.or()`, `.catch()`, or a
// method's own default, `.number(0)`. Of `this.email | this.phone` one is enough.

// keyLookup is a look-up of a key.
type keyLookup struct {
	source   string
	optional bool
	text     *service.InterpolatedString // blank where the look-up is null or fails
}

// lookupsOf reads the look-ups of an expression, ${! … }. Other says that the
// expression may take more from the message, or from elsewhere, than they name. With a
// condition (if, match, a comparison) the message decides what is looked up, and with a
// lambda or a mapping what `this` is: of these nothing is read.
func lookupsOf(expression string) (found []keyLookup, other bool) {
	r := &lookupReader{rest: body(expression), this: true}
	read := r.query()
	if r.space(); r.failed || r.rest != "" {
		return nil, true
	}
	for _, l := range read {
		text, err := service.NewInterpolatedString(`${! (` + l.source + `) | "" }`)
		if err != nil || !isSteady(l.source) {
			r.other = true
			continue
		}
		l.text = text
		found = append(found, l)
	}
	return found, r.other
}

// body is what stands between the braces of an expression.
func body(expression string) string {
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(expression, "${!"), "}"))
}

// lookupReader reads Bloblang as far as look-ups need it, and fails at anything else.
type lookupReader struct {
	rest   string
	this   bool // `this` is the message
	other  bool
	failed bool
}

func (r *lookupReader) fail() { r.failed, r.rest = true, "" }

func (r *lookupReader) space() { r.rest = strings.TrimLeft(r.rest, " \t\r\n") }

func (r *lookupReader) take(prefix string) bool {
	rest, found := strings.CutPrefix(r.rest, prefix)
	r.rest = rest
	return found
}

func (r *lookupReader) expect(prefix string) {
	if r.space(); !r.take(prefix) {
		r.fail()
	}
}

// query reads operands and what joins them.
func (r *lookupReader) query() (found []keyLookup) {
	either := [][]keyLookup{r.operand()}
	for !r.failed {
		r.space()
		if r.rest == "" {
			break
		}
		for _, condition := range []string{"||", "&&", "==", "!=", "<", ">", "->"} {
			if strings.HasPrefix(r.rest, condition) {
				r.fail()
				return nil
			}
		}
		if r.take("|") {
			either = append(either, r.operand())
			continue
		}
		if !strings.ContainsRune("+-*/%", rune(r.rest[0])) {
			break
		}
		r.rest = r.rest[1:]
		found = append(found, r.oneOf(either)...)
		either = [][]keyLookup{r.operand()}
	}
	return append(found, r.oneOf(either)...)
}

// oneOf is what must be there of alternatives: nothing where the last is no look-up,
// else any of them.
func (r *lookupReader) oneOf(either [][]keyLookup) (found []keyLookup) {
	if len(either) == 1 {
		return either[0]
	}
	optional := len(either[len(either)-1]) == 0
	var sources []string
	for _, lookups := range either {
		for _, l := range lookups {
			optional = optional || l.optional
			found, sources = append(found, l), append(sources, l.source)
		}
	}
	if optional {
		return allOptional(found)
	}
	return []keyLookup{{source: strings.Join(sources, " | ")}}
}

func allOptional(found []keyLookup) []keyLookup {
	for i := range found {
		found[i].optional = true
	}
	return found
}

// operand reads a value with its path and methods.
func (r *lookupReader) operand() (found []keyLookup) {
	if r.space(); r.take("-") {
		r.space()
	}
	t := lookupTail{start: r.rest}
	switch name := r.name(); {
	case r.rest == "" && name == "", name == "if", name == "match":
		r.fail()
	case name != "" && strings.HasPrefix(r.rest, "("):
		r.function(name, &t)
	case name == "this":
		t.root, t.ofMessage = true, r.this
	case name == "true", name == "false", name == "null", name != "" && name[0] <= '9':
	case name == "root":
		r.other = true
	case name != "": // id is this.id
		t.root, t.named, t.ofMessage = true, true, r.this
	case r.rest[0] == '"':
		r.quoted()
	case r.take("@"):
		t.root, t.named, t.ofMessage = true, r.segment(), true
	case r.take("("):
		t.found = r.query()
		r.expect(")")
	case r.take("["):
		t.found = r.list("]")
	case r.take("{"):
		t.found = r.list("}")
	default:
		r.fail()
	}
	return r.tail(&t)
}

// lookupTail is a value whose path and methods are read.
type lookupTail struct {
	start     string // of the source
	root      bool   // so far it is a look-up, of the message or of something else
	ofMessage bool
	named     bool // and says what it looks up
	found     []keyLookup
}

// end makes a look-up of what was read until now.
func (r *lookupReader) end(t *lookupTail) {
	if !t.root {
		return
	}
	t.root = false
	source := t.start[:len(t.start)-len(r.rest)]
	switch {
	case !t.named:
		r.other = true
	case t.ofMessage:
		t.found = append(t.found, keyLookup{source: source})
	}
}

func (r *lookupReader) function(name string, t *lookupTail) {
	r.take("(")
	switch name {
	case "json", "meta", "metadata", "root_meta":
		t.root, t.ofMessage = true, true
		if r.space(); !strings.HasPrefix(r.rest, ")") {
			if t.named = strings.HasPrefix(r.rest, `"`); !t.named {
				r.fail()
				return
			}
			r.quoted()
		}
		r.expect(")")
	case "content":
		t.root, t.ofMessage = true, true
		r.expect(")")
	case "env", "hostname", "range": // the same for every message
		t.found = r.list(")")
	default:
		r.other = true
		t.found = r.list(")")
	}
}

// tail reads the path and the methods that follow a value.
func (r *lookupReader) tail(t *lookupTail) []keyLookup {
	for !r.failed {
		before := r.rest
		if !r.take(".") {
			break
		}
		r.space()
		if strings.HasPrefix(r.rest, `"`) {
			r.quoted()
			t.named = true
			continue
		}
		method := r.name()
		switch {
		case method == "":
			r.fail()
		case !r.take("("):
			t.named = true
		case accessors[method] && t.root:
			r.list(")")
			t.named = t.named || method == "get"
		default:
			after := r.rest
			r.rest = before
			r.end(t)
			r.rest = after
			r.method(method, t)
		}
	}
	r.end(t)
	return t.found
}

// accessors are the methods that are part of a look-up.
var accessors = map[string]bool{"get": true, "index": true, "parse_json": true, "from": true}

// method reads the arguments of a method, and says what it makes of its look-ups.
func (r *lookupReader) method(name string, t *lookupTail) {
	switch name {
	case "or", "catch":
		t.found = r.oneOf([][]keyLookup{t.found, r.list(")")})
	case "number", "bool":
		if r.space(); !strings.HasPrefix(r.rest, ")") {
			t.found = allOptional(t.found)
		}
		r.list(")")
	case "format", "concat", "append", "merge":
		t.found = append(t.found, r.list(")")...)
	case "type", "exists", "length", "contains", "has_prefix", "has_suffix", "re_match", "index", "from", "from_all":
		// The answer is no missing part, or the value of another message.
		r.list(")")
		t.found, r.other = nil, true
	default: // the query of map_each, filter and others has another `this`
		this := r.this
		r.this = false
		t.found = append(t.found, r.list(")")...)
		r.this = this
	}
}

var argumentName = regexp.MustCompile(`^[a-z_]\w*:`)

// list reads arguments, or what is in an array or object.
func (r *lookupReader) list(closing string) (found []keyLookup) {
	for !r.failed {
		if r.space(); r.take(closing) {
			return found
		}
		if closing == ")" {
			r.rest = r.rest[len(argumentName.FindString(r.rest)):]
		}
		found = append(found, r.query()...)
		if r.space(); !r.take(",") && !r.take(":") && !strings.HasPrefix(r.rest, closing) {
			r.fail()
		}
	}
	return nil
}

// name reads a name or a number, if there is one.
func (r *lookupReader) name() string {
	end := strings.IndexFunc(r.rest, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
	if end < 0 {
		end = len(r.rest)
	}
	name := r.rest[:end]
	r.rest = r.rest[end:]
	return name
}

// segment reads a name, bare or quoted, if there is one.
func (r *lookupReader) segment() bool {
	if strings.HasPrefix(r.rest, `"`) {
		r.quoted()
		return true
	}
	return r.name() != ""
}

func (r *lookupReader) quoted() {
	if r.take(`"""`) {
		end := strings.Index(r.rest, `"""`)
		if end < 0 {
			r.fail()
			return
		}
		r.rest = r.rest[end+3:]
		return
	}
	for i := 1; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '\\':
			i++
		case '"':
			r.rest = r.rest[i+1:]
			return
		}
	}
	r.fail()
}
