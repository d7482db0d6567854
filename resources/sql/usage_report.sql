-- The organization's usage, as the API last told it: config/usage_report.yaml.
CREATE TABLE IF NOT EXISTS usage_report (
    organization_id text NOT NULL,
    use_case_id     text NOT NULL,    -- '' where the API does not tell usage by use case
    period          text NOT NULL,    -- the API's word, or when it began
    period_start    timestamptz,      -- null where the API only names the period
    period_end      timestamptz,
    calls           double precision,
    minutes         double precision,
    PRIMARY KEY (organization_id, use_case_id, period)
);
