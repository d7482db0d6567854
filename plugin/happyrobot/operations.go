package happyrobot

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Evidence says how well an operation is known.
type Evidence string

// How well an operation is known.
const (
	Documented Evidence = "documented" // a page gives method, path and the main shapes
	Partial    Evidence = "partial"    // some of it is known
	Inferred   Evidence = "inferred"   // only a title is: path and shapes are guesses
)

// Operation is one of the API's operations.
type Operation struct {
	ID       string
	Method   string
	Path     string // with {parameters}
	Evidence Evidence
	Summary  string
}

// operations are those of resources/openapi, in its order; a contract test
// compares them.
var operations = []Operation{
	{"createOutboundCall", "POST", "/dial/outbound", Documented, "Create one outbound call"},
	{"createOutboundCallsBatched", "POST", "/dial/outbound-batched", Documented, "Create several outbound calls in one request"},
	{"createScheduledCampaign", "POST", "/dial/scheduled", Documented, "Create a campaign of scheduled calls"},
	{"listCalls", "GET", "/calls", Documented, "List calls"},
	{"getCurrentPage", "GET", "/calls/current-page", Inferred, "Find the list page a call is on"},
	{"listCallTags", "GET", "/calls/tags", Inferred, "List the tags in use on calls"},
	{"exportCalls", "POST", "/calls/export", Inferred, "Start a CSV export that is mailed to the requester"},
	{"getCall", "GET", "/calls/{id}", Partial, "Read one call"},
	{"deleteCall", "DELETE", "/calls/{id}", Inferred, "Delete a call"},
	{"getTranscript", "GET", "/calls/{id}/transcript", Documented, "Read the transcript of a call"},
	{"getRecordingUrl", "GET", "/calls/{id}/recording", Inferred, "Get a pre-signed URL of the recording"},
	{"getCallLogs", "GET", "/calls/{id}/logs", Inferred, "Read the logs of a call"},
	{"stopCall", "POST", "/calls/{id}/stop", Partial, "End a call that is in progress"},
	{"cancelCall", "POST", "/calls/{id}/cancel", Inferred, "Cancel a call that is scheduled or queued"},
	{"addNote", "POST", "/calls/{id}/notes", Documented, "Add a note to a call"},
	{"updateNote", "PATCH", "/calls/{id}/notes/{noteId}", Documented, "Change a note"},
	{"deleteNote", "DELETE", "/calls/{id}/notes/{noteId}", Documented, "Remove a note"},
	{"setCallViewed", "PATCH", "/calls/{id}/viewed", Documented, "Mark a call as seen by a user"},
	{"setCallRating", "PATCH", "/calls/{id}/ratings", Documented, "Add or remove a rating"},
	{"getUsage", "GET", "/usage", Documented, "Usage of the organization"},
	{"listUseCases", "GET", "/use-cases", Inferred, "List use cases"},
	{"createUseCase", "POST", "/use-cases", Partial, "Create a use case"},
	{"getUseCase", "GET", "/use-cases/{id}", Documented, "Read a use case"},
	{"updateUseCase", "PATCH", "/use-cases/{id}", Documented, "Change a use case"},
	{"listAgents", "GET", "/agents", Documented, "List agents"},
	{"createAgent", "POST", "/agents", Partial, "Create an agent"},
	{"updateAgent", "PATCH", "/agents/{id}", Documented, "Change an agent"},
	{"listNumbers", "GET", "/numbers", Inferred, "List phone numbers"},
	{"buyNumber", "POST", "/numbers", Documented, "Buy a phone number (costs money)"},
	{"getNumber", "GET", "/numbers/{id}", Documented, "Read a phone number"},
	{"updateNumberRoutes", "PATCH", "/numbers/{id}", Documented, "Change inbound routing of a number"},
	{"updateNumberTitle", "PATCH", "/numbers/{id}/title", Documented, "Rename a number"},
	{"updateMember", "PATCH", "/member", Documented, "Change a member's role"},
	{"removeMember", "DELETE", "/member", Documented, "Remove a member"},
	{"updateUser", "PATCH", "/user/{id}", Documented, "Change a user's profile"},
}

// Operations lists the API's operations.
func Operations() []Operation { return slices.Clone(operations) }

// FindOperation finds an operation by its id.
func FindOperation(id string) (Operation, bool) {
	i := slices.IndexFunc(operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		return Operation{}, false
	}
	return operations[i], true
}

// PlacesCalls says whether the operation makes phones ring.
func (o Operation) PlacesCalls() bool { return placesCalls(o.Path) }

// placesCalls looks at all segments, since a base URL may be shorter than ours.
func placesCalls(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return strings.EqualFold(s, "dial") })
}

var (
	pathTemplate  = regexp.MustCompile(`^(/([A-Za-z0-9._~-]+|\{[A-Za-z0-9_]+\}))+$`)
	pathParameter = regexp.MustCompile(`\{([A-Za-z0-9_]+)\}`)
	onlyDots      = regexp.MustCompile(`/\.+(/|$)`)
)

// At gives the operation another path, for those whose path is a guess. It may
// not lead to where calls are placed.
func (o Operation) At(path string) (Operation, error) {
	switch {
	case !pathTemplate.MatchString(path) || onlyDots.MatchString(path):
		return o, errors.New("must be a path below the base URL, such as /calls/{id}/logs")
	case placesCalls(path):
		return o, errors.New("must not be a path that places calls")
	}
	o.Path = path
	return o, nil
}

// PathParameters names the parameters of the path, in its order.
func (o Operation) PathParameters() []string {
	var names []string
	for _, found := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
		names = append(names, found[1])
	}
	return names
}

// expand fills the parameters into the path. What a server could take for more than one
// segment is refused, not only escaped.
func (o Operation) expand(values map[string]string) (string, error) {
	names := o.PathParameters()
	for given := range values {
		if !slices.Contains(names, given) {
			return "", &FieldError{"path." + given, fmt.Sprintf("is no parameter of %s", o.Path)}
		}
	}
	path := o.Path
	for _, name := range names {
		value := values[name]
		if value == "" {
			return "", &FieldError{"path." + name, "is missing"}
		}
		validate := ValidateOpaqueID // noteId and others have no documented form
		if name == "id" {
			validate = ValidateID
		}
		if err := validate(value); err != nil {
			return "", &FieldError{"path." + name, err.Error()}
		}
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	if placesCalls(path) {
		return "", &FieldError{"path", "must not lead to where calls are placed"}
	}
	return path, nil
}
