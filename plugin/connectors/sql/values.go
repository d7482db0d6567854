package sql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// wantsTypes reports that arguments depend on the types of their placeholders, which the
// server then is asked for first.
func wantsTypes(args []any) bool {
	for _, arg := range args {
		switch v := arg.(type) {
		case []byte, []any, map[string]any:
			return true
		case string: // for a bytea these are bytes, and for any other type a text
			if !utf8.ValidString(v) || strings.ContainsAny(v, "\\\x00") {
				return true
			}
		}
	}
	return false
}

// encodeArgs writes arguments as text, which PostgreSQL reads as whatever type the
// placeholder has. oids are the types, where they are known.
func encodeArgs(args []any, oids []uint32, types *pgtype.Map) ([][]byte, error) {
	encoded := make([][]byte, len(args))
	for i, arg := range args {
		var oid uint32
		if i < len(oids) {
			oid = oids[i]
		}
		var err error
		if encoded[i], err = encodeArg(arg, oid, types); err != nil {
			return nil, &messageError{fmt.Errorf("argument %d of `args_mapping`: %w", i+1, err)}
		}
	}
	return encoded, nil
}

func encodeArg(arg any, oid uint32, types *pgtype.Map) ([]byte, error) {
	switch v := arg.(type) {
	case []any:
		if oid == pgtype.JSONOID || oid == pgtype.JSONBOID {
			return json.Marshal(v)
		}
		text, err := arrayLiteral(v, elementOf(oid, types) == pgtype.ByteaOID)
		if err == nil && oid == pgtype.ByteaOID {
			text, _, err = scalar(text, true)
		}
		return []byte(text), err
	case map[string]any:
		return json.Marshal(v)
	}
	text, ok, err := scalar(arg, oid == pgtype.ByteaOID)
	if err != nil || !ok {
		return nil, err
	}
	return []byte(text), nil
}

func elementOf(oid uint32, types *pgtype.Map) uint32 {
	if t, ok := types.TypeForOID(oid); ok {
		if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			return array.ElementType.OID
		}
	}
	return 0
}

// scalar is a value as text, and false for NULL.
func scalar(value any, bytea bool) (text string, ok bool, err error) {
	switch v := value.(type) {
	case nil:
		return "", false, nil
	case string:
		if bytea {
			v = `\x` + hex.EncodeToString([]byte(v))
		}
		return v, true, nil
	case []byte:
		if v == nil {
			return "", false, nil
		}
		return scalar(string(v), bytea)
	case bool:
		return strconv.FormatBool(v), true, nil
	case json.Number:
		return v.String(), true, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true, nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), true, nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), true, nil
	case time.Time:
		return timeText(v), true, nil
	}
	return "", false, fmt.Errorf("a value of type %T cannot be an argument", value)
}

// timeText is a time as PostgreSQL reads and prints it; it counts no year 0.
func timeText(t time.Time) string {
	form := "2006-01-02 15:04:05.999999999Z07:00"
	if _, offset := t.Zone(); offset%60 != 0 {
		form += ":00"
	}
	if year := t.Year(); year <= 0 {
		return t.AddDate(2*(1-year)-1, 0, 0).Format(form) + " BC"
	}
	return t.Format(form)
}

// arrayLiteral is an array as PostgreSQL writes it: {1,"a",NULL}.
func arrayLiteral(values []any, bytea bool) (string, error) {
	parts := make([]string, len(values))
	for i, value := range values {
		switch v := value.(type) {
		case []any:
			nested, err := arrayLiteral(v, bytea)
			if err != nil {
				return "", err
			}
			parts[i] = nested
			continue
		case map[string]any:
			object, err := json.Marshal(v)
			if err != nil {
				return "", err
			}
			value = string(object)
		}
		text, ok, err := scalar(value, bytea)
		if err != nil {
			return "", err
		}
		switch _, isBool := value.(bool); {
		case !ok:
			parts[i] = "NULL"
		case isBool:
			parts[i] = text
		default:
			parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		}
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// decode is a value of a result as a message holds it: numbers, texts, true and false,
// times. What has no counterpart stays the text that PostgreSQL writes.
func decode(text []byte, oid uint32) any {
	if text == nil {
		return nil
	}
	s := string(text)
	switch oid {
	case pgtype.BoolOID:
		return s == "t"
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
	case pgtype.Float4OID, pgtype.Float8OID:
		// NaN and Infinity are no numbers of JSON.
		if f, err := strconv.ParseFloat(s, 64); err == nil && f-f == 0 {
			return f
		}
	case pgtype.ByteaOID:
		if rest, ok := strings.CutPrefix(s, `\x`); ok {
			if b, err := hex.DecodeString(rest); err == nil {
				return string(b)
			}
		}
	case pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID, pgtype.TimeOID, pgtype.TimetzOID:
		if t, ok := parseTime(s); ok {
			return t
		}
	}
	return s
}

// timeForms are how PostgreSQL prints dates and times in the style ISO. Go reads
// fractions of a second without being told.
var timeForms = []string{
	"2006-01-02 15:04:05-07", "2006-01-02 15:04:05", "2006-01-02", "2006-01-02 15:04:05-07:00", "2006-01-02 15:04:05-07:00:00",
	"15:04:05", "15:04:05-07", "15:04:05-07:00", "15:04:05-07:00:00",
}

// parseTime reads what has a place in JSON: infinity and years BC do not. The time 24:00
// is the next day's beginning.
func parseTime(s string) (time.Time, bool) {
	var more time.Duration
	if rest, ok := strings.CutPrefix(s, "24:00:00"); ok {
		s, more = "00:00:00"+rest, 24*time.Hour
	}
	for _, form := range timeForms {
		t, err := time.Parse(form, s)
		if err != nil {
			continue
		}
		// The server's offset, under no name that this machine may have for it.
		_, offset := t.Zone()
		if offset == 0 {
			return t.UTC().Add(more), true
		}
		return t.In(time.FixedZone("", offset)).Add(more), true
	}
	return time.Time{}, false
}
