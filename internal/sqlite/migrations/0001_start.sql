-- What masu remembers. Times are microseconds since 1970, UTC; doc is the
-- noun's JSON, and the columns beside it are what it is found by.

PRAGMA application_id = 0x6d617375; -- "masu"

CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE member (
	name TEXT PRIMARY KEY,
	doc  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspace (
	id    TEXT PRIMARY KEY,
	owner TEXT NOT NULL,
	name  TEXT NOT NULL,
	label TEXT NOT NULL UNIQUE,
	doc   TEXT NOT NULL,
	UNIQUE (owner, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
	id        TEXT PRIMARY KEY,
	workspace TEXT NOT NULL,
	since     INTEGER NOT NULL,
	ended     INTEGER NOT NULL CHECK (ended IN (0, 1)),
	doc       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX lease_running ON lease (since, id) WHERE ended = 0;

CREATE TABLE lease_gpu (
	lease TEXT NOT NULL REFERENCES lease (id),
	gpu   TEXT NOT NULL,
	ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
	PRIMARY KEY (lease, gpu)
) STRICT, WITHOUT ROWID;

-- One GPU, one running lease: whatever the code above believes.
CREATE UNIQUE INDEX lease_gpu_running ON lease_gpu (gpu) WHERE ended = 0;

CREATE TABLE session (
	hash    TEXT PRIMARY KEY,
	user    TEXT NOT NULL,
	since   INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_user ON session (user, since);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE link (
	hash    TEXT PRIMARY KEY,
	expires INTEGER NOT NULL,
	doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX link_expires ON link (expires);

-- The audit log. hash is the SHA-256 of the hash before it and doc, so that a
-- changed or missing line shows; meta's event_head is the last one's seq and hash.
CREATE TABLE event (
	seq  INTEGER PRIMARY KEY,
	hash BLOB NOT NULL,
	doc  TEXT NOT NULL
) STRICT;

CREATE TRIGGER event_stays BEFORE DELETE ON event
BEGIN
	SELECT RAISE(ABORT, 'events are never deleted');
END;

CREATE TRIGGER event_is_final BEFORE UPDATE ON event
BEGIN
	SELECT RAISE(ABORT, 'events are never changed');
END;
