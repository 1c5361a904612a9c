-- Once, by whoever owns the database, on the primary:  psql -d warehouse -f examples/schema.sql
-- The role "app" is the one that applications connect as.

-- The storage layer's own: one row an attempt (docs/use/transactions.md).
CREATE SCHEMA IF NOT EXISTS bascule;
CREATE TABLE IF NOT EXISTS bascule.unit_of_work (
    id text NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    state text NOT NULL CHECK (state IN ('applied', 'void')),
    asked integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, attempt)
);
ALTER TABLE bascule.unit_of_work ADD COLUMN IF NOT EXISTS attempt_key uuid;
GRANT USAGE ON SCHEMA bascule TO app;
GRANT SELECT, INSERT, UPDATE ON bascule.unit_of_work TO app;

-- What the examples write into.
CREATE TABLE IF NOT EXISTS visit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient text NOT NULL,
    reason text NOT NULL
);
GRANT SELECT, INSERT ON visit TO app;
