package sql

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
)

func pgError(code, message string) *pgconn.PgError {
	return &pgconn.PgError{Severity: "ERROR", Code: code, Message: message}
}

func TestTroubleOfTheServerIsNoMessages(t *testing.T) {
	for code, of := range map[string]bool{
		"57P01": true, "57P03": true, "53300": true, "53100": true, "25006": true, "28P01": true, "3D000": true, "08006": true, "58030": true,
		"08P01": false, "57014": false, "23505": false, "22P02": false, "42P01": false, "42601": false, "40001": false, "40P01": false, "42501": false,
	} {
		assert.Equal(t, of, ofServer(explain(pgError(code, "x"))), code)
	}
	assert.True(t, ofServer(explain(lostError{io.ErrUnexpectedEOF})))
	assert.False(t, ofServer(explain(errors.New("anything"))))
	assert.False(t, ofServer(context.Canceled))
	assert.True(t, ofConcurrency(explain(pgError("40001", "x"))))
	assert.True(t, certainlyNotRun(pgError("23505", "x")))
	assert.False(t, certainlyNotRun(pgError("57P01", "x")))
	assert.False(t, certainlyNotRun(lostError{io.EOF}))
	assert.True(t, certainlyNotRun(notRun(io.EOF)))
}

// Whoever logs an error ends the sentence.
func TestNoErrorEndsWithAFullStop(t *testing.T) {
	for _, err := range []error{
		errors.New("the host said no."), lostError{errors.New("write: broken pipe.")}, pgError("XX000", "Something is wrong."), pgError("57P01", "It ends..."), pgError("42501", "No."), io.EOF,
	} {
		text := explain(err).Error()
		assert.NotEmpty(t, text)
		assert.NotContains(t, text+".", "..")
		assert.NotContains(t, text, ". (")
	}
}
