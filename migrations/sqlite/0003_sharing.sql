-- What people say of sessions and share of them; written seldom, and only once the session exists.

-- `body` is the feedback as JSON, as it was sent. The last word counts.
CREATE TABLE session_feedback (
    session_id blob PRIMARY KEY,
    user_id blob NOT NULL,
    body text NOT NULL,
    given_at text NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event_feedback (
    session_id blob NOT NULL,
    event_index integer NOT NULL,
    user_id blob NOT NULL,
    body text NOT NULL,
    given_at text NOT NULL,
    PRIMARY KEY (session_id, event_index)
) STRICT, WITHOUT ROWID;

-- A row is a session that anybody may read now. The token is random and stands here as it is given out:
-- see docs/decisions/0013-share-links.md.
CREATE TABLE shares (
    session_id blob PRIMARY KEY,
    token text NOT NULL UNIQUE,
    shared_by blob NOT NULL,
    shared_at text NOT NULL
) STRICT, WITHOUT ROWID;
