-- Slots are counted by status, each time somebody asks for one, so both counts have an index of their own size.
-- The texts of the conditions are those of the queries.

CREATE INDEX sessions_holding_slots ON sessions (organization_id, status)
    WHERE status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results');

-- Oldest first, over all organizations: the queue is short, and empty most of the time.
CREATE INDEX sessions_queued ON sessions (organization_id, created_at, id) WHERE status = 'queued';

-- How many sessions may hold a slot at once; null: as many as the server's setting says.
ALTER TABLE organizations ADD COLUMN max_concurrent_sessions integer;
