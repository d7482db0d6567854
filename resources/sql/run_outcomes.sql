-- Runs of the platform that are over, one row each: config/platform_runs_to_postgres.yaml.
CREATE TABLE IF NOT EXISTS run_outcomes (
    run_id      text PRIMARY KEY,
    workflow_id text,
    lead_id     text,             -- lead_id of what started the run; null where it has none
    status      text,             -- of the run: completed says that its nodes ran, not that anybody answered
    outcome     text,             -- of its last session, such as completed or missed; null without one
    called      text,             -- the number, of the last session
    sessions    integer,          -- calls and chats: more than one where the workflow redialed
    duration    double precision, -- of the last session; seconds, as far as is known
    extraction  jsonb,            -- the output of the node that extracts
    transcript  text,             -- the talk as plain lines
    created_at  timestamptz,
    ended_at    timestamptz       -- null for a run that was canceled before its start
);

CREATE INDEX IF NOT EXISTS run_outcomes_lead_id ON run_outcomes (lead_id);
