-- Lists say how many sessions match. All but the completed ones are counted by small indexes; the texts of the conditions are
-- those of the queries.
CREATE INDEX sessions_unanswered ON sessions (organization_id, status)
    WHERE status IN ('failed', 'timed_out', 'interrupted');
CREATE INDEX sessions_by_group ON sessions (organization_id, group_id, created_at, id) WHERE group_id IS NOT NULL;

-- The transaction that created a session tells whether a count made earlier holds it. Those of before were there before any
-- count.
ALTER TABLE sessions ADD COLUMN created_xid bigint NOT NULL DEFAULT 0;
ALTER TABLE sessions ALTER COLUMN created_xid SET DEFAULT (pg_current_xact_id()::text::bigint);
CREATE INDEX sessions_by_transaction ON sessions (organization_id, created_xid);
