-- Leads to call, and what became of each: config/crm_loop.yaml. The CRM inserts
-- id, phone and name; the pipeline writes the other columns.
CREATE TABLE IF NOT EXISTS leads (
    id         text PRIMARY KEY, -- a lead is called once for its id
    phone      text,
    name       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz, -- last taken up to be queued
    queued_at  timestamptz, -- Kafka has it
    outcome    text,        -- the call's last status, or why there was none: rejected, held, failed
    reason     text,        -- of a lead that could not be called
    call_id    text,
    outcome_at timestamptz
);

CREATE INDEX IF NOT EXISTS leads_not_queued ON leads (created_at) WHERE queued_at IS NULL;
