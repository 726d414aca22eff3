CREATE TABLE organizations (
    id blob PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at text NOT NULL
) STRICT;

CREATE TABLE users (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    created_at text NOT NULL,
    UNIQUE (organization_id, name)
) STRICT;

-- Only the SHA-256 of a key is kept; `prefix` is what people recognize it by.
CREATE TABLE api_keys (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL REFERENCES organizations (id),
    user_id blob NOT NULL REFERENCES users (id),
    hash blob NOT NULL UNIQUE,
    prefix text NOT NULL,
    created_at text NOT NULL,
    revoked_at text
) STRICT;

-- A server process; the sessions it owns may be taken over once its lease has expired.
CREATE TABLE replicas (
    id blob PRIMARY KEY,
    lease_expires_at text NOT NULL
) STRICT;

-- `projection` is the truth; the other columns are what queries, guards and claims need of it.
-- Foreign keys stop here: the tables below are written thousands of times a second, always together
-- with their session, by one statement builder.
CREATE TABLE sessions (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL,
    user_id blob NOT NULL,
    version integer NOT NULL,
    status text NOT NULL,
    projection text NOT NULL,
    owner blob,
    epoch integer NOT NULL,
    due_at text,
    agent text,
    agent_name text NOT NULL,
    agent_revision integer,
    group_id text,
    parent_session_id blob,
    created_at text NOT NULL,
    finished_at text,
    answer_text text
) STRICT;

CREATE INDEX sessions_by_organization ON sessions (organization_id, created_at, id);
CREATE INDEX sessions_by_parent ON sessions (parent_session_id) WHERE parent_session_id IS NOT NULL;
CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL;

-- What never changes, apart from what changes with every commit.
CREATE TABLE session_requests (
    session_id blob PRIMARY KEY,
    request text NOT NULL,
    first_message text,
    first_message_text text
) STRICT;

CREATE TABLE events (
    session_id blob NOT NULL,
    event_index integer NOT NULL,
    type text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (session_id, event_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
    session_id blob NOT NULL,
    number integer NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (session_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    organization_id blob NOT NULL,
    key text NOT NULL,
    request_hash blob NOT NULL,
    session_id blob NOT NULL,
    response text NOT NULL,
    created_at text NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;
