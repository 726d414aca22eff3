-- Browsers that are signed in to the pages, and links that sign one in. Of each secret only its SHA-256 is kept.
CREATE TABLE sign_ins (
    token_hash bytea PRIMARY KEY,
    key_id uuid NOT NULL REFERENCES api_keys (id),
    is_link boolean NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL
);

CREATE INDEX sign_ins_of_key ON sign_ins (key_id, used_at);
