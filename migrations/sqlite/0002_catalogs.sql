-- What organizations keep by name. `spec` is JSON as it is answered, secrets included; the other columns are
-- what queries and guards need of it. `version` grows by one with every change and guards the next one.

-- An agent as it stands: its newest revision. `version` is that revision's number.
CREATE TABLE agents (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    version integer NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at text NOT NULL,
    UNIQUE (organization_id, name)
) STRICT;

CREATE INDEX agents_by_age ON agents (organization_id, created_at, name);

-- Every state an agent has had, the present one included. Rows are never changed.
CREATE TABLE agent_revisions (
    agent_id blob NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    number integer NOT NULL,
    spec text NOT NULL,
    message text,
    restored_from integer,
    created_by blob NOT NULL,
    created_at text NOT NULL,
    PRIMARY KEY (agent_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE environments (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at text NOT NULL,
    UNIQUE (organization_id, name)
) STRICT;

CREATE INDEX environments_by_age ON environments (organization_id, created_at, name);

-- `files_size` is how many bytes of `spec` are helper files.
CREATE TABLE skills (
    id blob PRIMARY KEY,
    organization_id blob NOT NULL REFERENCES organizations (id),
    name text NOT NULL,
    version integer NOT NULL,
    files_size integer NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at text NOT NULL,
    UNIQUE (organization_id, name)
) STRICT;

CREATE INDEX skills_by_age ON skills (organization_id, created_at, name);
