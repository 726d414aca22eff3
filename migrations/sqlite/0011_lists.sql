-- Lists say how many sessions match. All but the completed ones are counted by small indexes; the texts of the conditions are
-- those of the queries.
CREATE INDEX sessions_unanswered ON sessions (organization_id, status)
    WHERE status IN ('failed', 'timed_out', 'interrupted');
CREATE INDEX sessions_by_group ON sessions (organization_id, group_id, created_at, id) WHERE group_id IS NOT NULL;
