-- Browsers that are signed in to the pages, and links that sign one in. Of each secret only its SHA-256 is kept.
CREATE TABLE sign_ins (
    token_hash blob PRIMARY KEY,
    key_id blob NOT NULL REFERENCES api_keys (id),
    is_link integer NOT NULL,
    created_at text NOT NULL,
    used_at text NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_ins_of_key ON sign_ins (key_id, used_at);
