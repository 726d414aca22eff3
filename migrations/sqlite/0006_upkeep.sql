-- What a server lets go of when it stops, among all the sessions that ended long ago.
CREATE INDEX sessions_owned ON sessions (owner) WHERE owner IS NOT NULL;

-- Keys are removed once their time is over.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
