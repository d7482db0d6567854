package happyrobot

// platformOperations are those of the platform in resources/openapi, in its order; a
// contract test compares them.
var platformOperations = []Operation{
	{"describeApiKey", "GET", "/api-key/describe", Documented, "Read what the key is, and until when it is good", Platform},
	{"getUsageTotals", "GET", "/billing/usage/totals", Documented, "Minutes, mails and texts of the organization", Platform},
	{"getRunCredits", "GET", "/billing/usage/runs/{run_id}", Documented, "Read what a run cost", Platform},
	{"listPhoneNumbers", "GET", "/phone-numbers/", Documented, "List the phone numbers of the organization", Platform},
	{"listWorkflows", "GET", "/workflows/", Documented, "List workflows", Platform},
	{"getWorkflow", "GET", "/workflows/{workflow_id}", Documented, "Read a workflow", Platform},
	{"listVersionNodes", "GET", "/versions/{version_id}/nodes", Documented, "List the nodes of a version of a workflow", Platform},
	{"triggerRun", "POST", "/workflows/{workflow_id}/runs", Documented, "Start a run", Platform},
	{"listRuns", "GET", "/workflows/{workflow_id}/runs", Documented, "List the runs of a workflow", Platform},
	{"listWorkflowSessions", "GET", "/workflows/{workflow_id}/sessions", Partial, "List the sessions of all runs of a workflow", Platform},
	{"cancelWorkflowRuns", "POST", "/workflows/{workflow_id}/cancel-runs", Documented, "Cancel all runs of a workflow that are queued or running", Platform},
	{"getRun", "GET", "/runs/{run_id}", Documented, "Read a run", Platform},
	{"cancelRun", "POST", "/runs/{run_id}/cancel", Documented, "Cancel a run that is scheduled or running", Platform},
	{"listRunSessions", "GET", "/runs/{run_id}/sessions", Documented, "List the sessions of a run", Platform},
	{"listRunNodes", "GET", "/runs/{run_id}/nodes", Documented, "List the nodes that a run went through", Platform},
	{"getRunOutput", "GET", "/runs/{run_id}/outputs/{output_id}", Documented, "Read what a node of a run produced", Platform},
	{"listRunRecordings", "GET", "/runs/{run_id}/recordings", Documented, "Get signed URLs of the recordings of a run", Platform},
	{"listSessionsByCaller", "GET", "/sessions/", Documented, "List the sessions of a phone number", Platform},
	{"getSession", "GET", "/sessions/{session_id}", Documented, "Read a session", Platform},
	{"listSessionMessages", "GET", "/sessions/{session_id}/messages", Documented, "Read the transcript of a session", Platform},
	{"streamSession", "GET", "/sessions/{session_id}/stream", Documented, "Follow the messages of a session", Platform},
	{"resolveContact", "GET", "/contacts/resolve", Documented, "Find the contact of a phone number or address", Platform},
	{"triggerHook", "POST", "/hooks/{slug}", Documented, "Start a run through the trigger's own URL", Platform},
	{"triggerHookInEnvironment", "POST", "/hooks/{environment}/{slug}", Documented, "Start a run outside production through the trigger's own URL", Platform},
	{"twinSql", "POST", "/twin/sql", Documented, "Run a SQL statement on the organization's own database", Platform},
	{"legacyListRuns", "GET", "/runs", Documented, "List runs by what their nodes produced", PlatformV1},
}
