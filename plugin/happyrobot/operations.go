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

// API is one of the APIs that an operation can belong to.
type API string

// The APIs. The first is the older generation, the others are of today's platform.
const (
	V1         API = "v1"
	Platform   API = "platform"
	PlatformV1 API = "platform_v1" // of the platform's host, deprecated; not the older generation
)

// BaseURL is where the API is, for organizations in the US.
func (a API) BaseURL() string {
	switch a {
	case Platform:
		return "https://platform.happyrobot.ai/api/v2"
	case PlatformV1:
		return "https://platform.happyrobot.ai/api/v1"
	}
	return DefaultBaseURL
}

// Operation is one operation of an API.
type Operation struct {
	ID       string // of all APIs together no two are the same
	Method   string
	Path     string // with {parameters}
	Evidence Evidence
	Summary  string
	API      API
}

// operations are those of v1 in resources/openapi, in its order; a contract test
// compares them.
var operations = []Operation{
	{"createOutboundCall", "POST", "/dial/outbound", Documented, "Create one outbound call", V1},
	{"createOutboundCallsBatched", "POST", "/dial/outbound-batched", Documented, "Create several outbound calls in one request", V1},
	{"createScheduledCampaign", "POST", "/dial/scheduled", Documented, "Create a campaign of scheduled calls", V1},
	{"listCalls", "GET", "/calls", Documented, "List calls", V1},
	{"getCurrentPage", "GET", "/calls/current-page", Inferred, "Find the list page a call is on", V1},
	{"listCallTags", "GET", "/calls/tags", Inferred, "List the tags in use on calls", V1},
	{"exportCalls", "POST", "/calls/export", Inferred, "Start a CSV export that is mailed to the requester", V1},
	{"getCall", "GET", "/calls/{id}", Partial, "Read one call", V1},
	{"deleteCall", "DELETE", "/calls/{id}", Inferred, "Delete a call", V1},
	{"getTranscript", "GET", "/calls/{id}/transcript", Documented, "Read the transcript of a call", V1},
	{"getRecordingUrl", "GET", "/calls/{id}/recording", Inferred, "Get a pre-signed URL of the recording", V1},
	{"getCallLogs", "GET", "/calls/{id}/logs", Inferred, "Read the logs of a call", V1},
	{"stopCall", "POST", "/calls/{id}/stop", Partial, "End a call that is in progress", V1},
	{"cancelCall", "POST", "/calls/{id}/cancel", Inferred, "Cancel a call that is scheduled or queued", V1},
	{"addNote", "POST", "/calls/{id}/notes", Documented, "Add a note to a call", V1},
	{"updateNote", "PATCH", "/calls/{id}/notes/{noteId}", Documented, "Change a note", V1},
	{"deleteNote", "DELETE", "/calls/{id}/notes/{noteId}", Documented, "Remove a note", V1},
	{"setCallViewed", "PATCH", "/calls/{id}/viewed", Documented, "Mark a call as seen by a user", V1},
	{"setCallRating", "PATCH", "/calls/{id}/ratings", Documented, "Add or remove a rating", V1},
	{"getUsage", "GET", "/usage", Documented, "Usage of the organization", V1},
	{"listUseCases", "GET", "/use-cases", Inferred, "List use cases", V1},
	{"createUseCase", "POST", "/use-cases", Partial, "Create a use case", V1},
	{"getUseCase", "GET", "/use-cases/{id}", Documented, "Read a use case", V1},
	{"updateUseCase", "PATCH", "/use-cases/{id}", Documented, "Change a use case", V1},
	{"listAgents", "GET", "/agents", Documented, "List agents", V1},
	{"createAgent", "POST", "/agents", Partial, "Create an agent", V1},
	{"updateAgent", "PATCH", "/agents/{id}", Documented, "Change an agent", V1},
	{"listNumbers", "GET", "/numbers", Inferred, "List phone numbers", V1},
	{"buyNumber", "POST", "/numbers", Documented, "Buy a phone number (costs money)", V1},
	{"getNumber", "GET", "/numbers/{id}", Documented, "Read a phone number", V1},
	{"updateNumberRoutes", "PATCH", "/numbers/{id}", Documented, "Change inbound routing of a number", V1},
	{"updateNumberTitle", "PATCH", "/numbers/{id}/title", Documented, "Rename a number", V1},
	{"updateMember", "PATCH", "/member", Documented, "Change a member's role", V1},
	{"removeMember", "DELETE", "/member", Documented, "Remove a member", V1},
	{"updateUser", "PATCH", "/user/{id}", Documented, "Change a user's profile", V1},
}

// Operations lists the operations of v1.
func Operations() []Operation { return slices.Clone(operations) }

// PlatformOperations lists those of the platform.
func PlatformOperations() []Operation { return slices.Clone(platformOperations) }

// FindOperation finds an operation of any API by its id.
func FindOperation(id string) (Operation, bool) {
	for _, table := range [][]Operation{operations, platformOperations} {
		if i := slices.IndexFunc(table, func(o Operation) bool { return o.ID == id }); i >= 0 {
			return table[i], true
		}
	}
	return Operation{}, false
}

var (
	pathTemplate  = regexp.MustCompile(`^(/([A-Za-z0-9._~-]+|\{[A-Za-z0-9_]+\}))+$`)
	pathParameter = regexp.MustCompile(`\{([A-Za-z0-9_]+)\}`)
	onlyDots      = regexp.MustCompile(`/\.+(/|$)`)
)

// At gives the operation another path, for those whose path is a guess. It may not lead
// to where calls are placed or runs are started; see RefusedPaths.
func (o Operation) At(path string) (Operation, error) {
	if !pathTemplate.MatchString(path) || onlyDots.MatchString(path) {
		return o, errors.New("must be a path below the base URL, such as /calls/{id}/logs")
	}
	if why := o.refusesPath(path); why != "" {
		return o, errors.New("must not be a path that " + why)
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
	path, unescaped := o.Path, o.Path
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
		unescaped = strings.ReplaceAll(unescaped, "{"+name+"}", value)
	}
	if why := o.refusesFilled(unescaped); why != "" {
		return "", &FieldError{"path", "must not become a path that " + why}
	}
	return path, nil
}
