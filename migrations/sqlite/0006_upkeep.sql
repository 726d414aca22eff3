-- Keys are removed once their time is over.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
