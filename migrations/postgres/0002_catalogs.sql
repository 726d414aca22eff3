-- What organizations keep by name. `spec` is JSON as it is answered, secrets included; the other columns are
-- what queries and guards need of it. `version` grows by one with every change and guards the next one.
-- Names sort by their bytes, as they do in the other engine.

-- An agent as it stands: its newest revision. `version` is that revision's number.
CREATE TABLE agents (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (organization_id, name)
);

CREATE INDEX agents_by_age ON agents (organization_id, created_at, name);

-- Every state an agent has had, the present one included. Rows are never changed.
CREATE TABLE agent_revisions (
    agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    spec text NOT NULL,
    message text,
    restored_from bigint,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, number)
);

CREATE TABLE environments (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (organization_id, name)
);

CREATE INDEX environments_by_age ON environments (organization_id, created_at, name);

-- `files_size` is how many bytes of `spec` are helper files.
CREATE TABLE skills (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    files_size bigint NOT NULL,
    spec text NOT NULL,
    search_text text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (organization_id, name)
);

CREATE INDEX skills_by_age ON skills (organization_id, created_at, name);
