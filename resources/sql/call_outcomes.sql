-- Calls that are over, one row each: config/calls_to_postgres.yaml.
CREATE TABLE IF NOT EXISTS call_outcomes (
    call_id        text PRIMARY KEY,
    lead_id        text,             -- metadata.lead_id of the dial; null for calls that came in
    status         text,             -- the API's word, such as Completed or No answer
    duration       double precision, -- seconds of talk; null when there was none
    classification text,             -- the tag
    extraction     jsonb,            -- what the API drew from the talk
    transcript     text,             -- the talk as plain lines
    ended_at       timestamptz       -- computed, at the earliest: the API does not tell it
);

CREATE INDEX IF NOT EXISTS call_outcomes_lead_id ON call_outcomes (lead_id);
