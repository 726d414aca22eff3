CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (organization_id, name)
);

-- Only the SHA-256 of a key is kept; `prefix` is what people recognize it by.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    user_id uuid NOT NULL REFERENCES users (id),
    hash bytea NOT NULL UNIQUE,
    prefix text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- A server process; the sessions it owns may be taken over once its lease has expired.
CREATE TABLE replicas (
    id uuid PRIMARY KEY,
    lease_expires_at timestamptz NOT NULL
);

-- `projection` is the truth; the other columns are what queries, guards and claims need of it.
-- Foreign keys stop here: the tables below are written thousands of times a second, always together
-- with their session, by one statement builder.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    projection text NOT NULL,
    owner uuid,
    epoch bigint NOT NULL,
    due_at timestamptz,
    agent text,
    agent_name text NOT NULL,
    agent_revision bigint,
    group_id text,
    parent_session_id uuid,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    answer_text text
) WITH (fillfactor = 70);

CREATE INDEX sessions_by_organization ON sessions (organization_id, created_at, id);
CREATE INDEX sessions_by_parent ON sessions (parent_session_id) WHERE parent_session_id IS NOT NULL;
CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL;

-- What never changes, apart from what changes with every commit.
CREATE TABLE session_requests (
    session_id uuid PRIMARY KEY,
    request text NOT NULL,
    first_message text,
    first_message_text text
);

CREATE TABLE events (
    session_id uuid NOT NULL,
    event_index bigint NOT NULL,
    type text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (session_id, event_index)
);

CREATE TABLE inbox (
    session_id uuid NOT NULL,
    number bigint NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (session_id, number)
);

CREATE TABLE idempotency_keys (
    organization_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    response text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, key)
);
