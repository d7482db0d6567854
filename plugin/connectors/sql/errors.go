package sql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL that are told apart here.
const (
	codeSerialization  = "40001"
	codeDeadlock       = "40P01"
	codeReadOnly       = "25006"
	codeNoPrivilege    = "42501"
	codeNoTable        = "42P01"
	codeNoColumn       = "42703"
	codeNoOperator     = "42883" // of the types of columns
	codeWrongType      = "42804"
	codeNoIndex        = "42P10" // for ON CONFLICT
	codeProtocol       = "08P01"
	codeTooMany        = "53300"
	codeStarting       = "57P03"
	codeQueryCanceled  = "57014"
	codeNoDatabase     = "3D000"
	codeWrongPassword  = "28P01"
	codeNotAuthorized  = "28000"
	codeDiskFull       = "53100"
	classDataException = "22"
	classRaised        = "P0"
	routineRaise       = "exec_stmt_raise" // of a function or trigger that raises any code
)

// explained is an error in our words. What it wraps may quote arguments.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// ofServer reports trouble that is the server's or the network's, and no message's.
func ofServer(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	code := codeOf(err)
	if code == "" || connecting(err) {
		return connecting(err) || errors.As(err, new(lostError)) || errors.As(err, new(notRunError))
	}
	switch code {
	case codeProtocol, codeQueryCanceled:
		return false
	case codeReadOnly:
		return true
	}
	switch code[:2] {
	case "08", "28", "3D", "53", "57", "58":
		return true
	}
	return false
}

// connecting reports that no connection could be made.
func connecting(err error) bool {
	return errors.As(err, new(*pgconn.ConnectError))
}

// ofConnection reports that a connection was lost, or could not be made.
func ofConnection(err error) bool {
	code := codeOf(err)
	return ofServer(err) && (connecting(err) || code == "" || code[:2] == "57" || code[:2] == "08")
}

// ofConcurrency reports that a transaction met another, and does well when it is run again.
func ofConcurrency(err error) bool {
	code := codeOf(err)
	return code == codeSerialization || code == codeDeadlock
}

// isAltered reports that a statement does not fit the table any more, or that there is
// none. A function of a trigger that misses something of its own is none of that.
func isAltered(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Where != "" {
		return false
	}
	switch pg.Code {
	case codeNoTable, codeNoColumn, codeNoOperator, codeWrongType, codeNoIndex:
		return true
	}
	return false
}

// isRefusal reports that PostgreSQL answered, and did not do what it was asked.
func isRefusal(err error) bool {
	code := codeOf(err)
	return errors.Is(err, errNotStored) || code != "" && code != codeQueryCanceled && !ofServer(err) && !ofConcurrency(err)
}

// isRefusalOfTable reports a refusal for which the table, its constraints or its triggers
// are to blame.
func isRefusalOfTable(err error) bool {
	var pg *pgconn.PgError
	if !isRefusal(err) || !errors.As(err, &pg) {
		return isRefusal(err)
	}
	if pg.Routine == routineRaise {
		return true
	}
	switch pg.Code[:2] {
	case "09", "0A", "22", "23", "27", "38", "39", "42", "44", "P0":
		return pg.Code != codeNoPrivilege
	}
	return false
}

// refusedError is a refusal whose table is named.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// meanings are what may be wrong with a table, in the words of whoever made it.
var meanings = map[string]string{
	"22001": "a column is too short for it",
	"23502": "a column must not be NULL, and is not filled",
	"23503": "a foreign key does not allow it",
	"23505": "a unique index does not allow it",
	"23514": "a CHECK constraint does not allow it",
	"0A000": "it does not support this, as with a rule on the table",
}

// explain is explain, and names the table where that is what refuses.
func (c *pgCache) explain(err error) error {
	err = explain(err)
	if !isRefusalOfTable(err) || errors.As(err, new(*tableError)) || errors.As(err, new(*refusedError)) {
		return err
	}
	return &refusedError{fmt.Errorf("PostgreSQL refused it: %w; check the columns, constraints and triggers of table %s", err, c.conf.table.name)}
}

// messageError is an error that the contents of a message caused before a statement ran.
type messageError struct{ error }

func (e *messageError) Unwrap() error { return e.error }

// explain says what went wrong and what to do, without arguments and passwords.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.As(err, new(*explained)) || errors.As(err, new(*messageError)) || errors.Is(err, errClosed) {
		return err
	}
	return &explained{text: strings.TrimRight(textOf(err), ". "), cause: err}
}

func textOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return textOfPG(pg, whereIn(err))
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	var unknownAuthority x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var verification *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case strings.Contains(text, "server refused TLS connection"):
		return "PostgreSQL does not offer TLS, and the DSN asks for it: sslmode is `require` unless it is written; use TLS in the server, or write sslmode=disable into `dsn`"
	case errors.As(err, &unknownAuthority), errors.As(err, &wrongName), errors.As(err, &verification):
		return "the certificate of PostgreSQL is not trusted: " + last(text) + "; check sslrootcert and sslmode in `dsn`"
	case errors.Is(err, context.DeadlineExceeded):
		return "PostgreSQL did not answer in time"
	case errors.Is(err, context.Canceled):
		return "the operation was cancelled"
	case errors.As(err, &dns):
		return fmt.Sprintf("the host %q of PostgreSQL is not known; check `dsn`", dns.Name)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Sprintf("PostgreSQL cannot be reached at %v: %v; check that it runs, and `dsn`", op.Addr, op.Err)
	case connecting(err):
		return "cannot connect to PostgreSQL: " + last(text) + "; check `dsn`"
	}
	if errors.As(err, new(lostError)) || errors.As(err, new(notRunError)) {
		return "the connection to PostgreSQL was lost: " + last(text)
	}
	return text
}

// last is the innermost part of an error's text: the outer ones say that connecting failed.
func last(text string) string {
	if at := strings.LastIndex(text, "): "); at >= 0 {
		return text[at+len("): "):]
	}
	return text
}

func textOfPG(pg *pgconn.PgError, where string) string {
	code := "SQLSTATE " + pg.Code
	if meaning := meanings[pg.Code]; meaning != "" {
		code += ": " + meaning
	}
	said := strings.TrimRight(withoutValues(pg), ". ") + where + " (" + code + ")"
	switch pg.Code {
	case codeWrongPassword, codeNotAuthorized:
		return "PostgreSQL refused the login: " + said + "; check user, password and sslmode in `dsn`, and pg_hba.conf of the server"
	case codeNoDatabase:
		return said + "; check the database in `dsn`"
	case codeTooMany:
		return said + "; lower `conn_max_open`, or raise max_connections of the server"
	case codeReadOnly:
		return "PostgreSQL is read-only, as a standby is: " + said + "; let `dsn` lead to the primary, or add target_session_attrs=read-write"
	case codeNoPrivilege:
		return said + "; grant it to the user of `dsn`"
	case codeStarting:
		return "PostgreSQL does not accept connections yet: " + said
	case codeProtocol:
		return said + "; `args_mapping` must give one value for each placeholder"
	case codeDiskFull:
		return "PostgreSQL has no space left: " + said
	case codeSerialization, codeDeadlock:
		return "the statement kept meeting others, and was tried several times: " + said
	}
	return said
}

// withoutValues is the server's message without what it may quote of arguments.
func withoutValues(pg *pgconn.PgError) string {
	message := strings.Join(strings.Fields(pg.Message), " ")
	switch {
	case strings.HasPrefix(pg.Code, classRaised), pg.Routine == routineRaise: // with any code
		return "a function or trigger raised an error"
	case strings.HasPrefix(pg.Code, classDataException), pg.Code == "42601", pg.Code == "54000":
		first, final := strings.IndexByte(message, '"'), strings.LastIndexByte(message, '"')
		if first >= 0 && final > first {
			return message[:first] + `"…"` + message[final+1:]
		}
	}
	return message
}
