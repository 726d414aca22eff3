-- What agents remember beyond a session, by organization and namespace.

-- A row is a namespace that was ever written to. `entries` is how many it holds: it bounds them without counting.
CREATE TABLE memories (
    organization_id blob NOT NULL,
    namespace text NOT NULL,
    entries integer NOT NULL,
    PRIMARY KEY (organization_id, namespace)
) STRICT, WITHOUT ROWID;

-- `value` is JSON text, as the agent gave it.
CREATE TABLE memory_entries (
    organization_id blob NOT NULL,
    namespace text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    stored_at text NOT NULL,
    PRIMARY KEY (organization_id, namespace, key)
) STRICT, WITHOUT ROWID;
