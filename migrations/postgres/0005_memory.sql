-- What agents remember beyond a session, by organization and namespace.

-- A row is a namespace that was ever written to. `entries` is how many it holds: it bounds them without counting,
-- and whoever writes to the namespace locks it.
CREATE TABLE memories (
    organization_id uuid NOT NULL,
    namespace text NOT NULL,
    entries bigint NOT NULL,
    PRIMARY KEY (organization_id, namespace)
);

-- `value` is JSON text, as the agent gave it. Keys sort by their bytes, as they do in SQLite.
CREATE TABLE memory_entries (
    organization_id uuid NOT NULL,
    namespace text NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, namespace, key)
);
