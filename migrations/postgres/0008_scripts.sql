-- What sessions play in a model's place, under its SHA-256. Sessions name it by that; it is never changed.
CREATE TABLE scripts (
    hash text PRIMARY KEY,
    script text NOT NULL
);
