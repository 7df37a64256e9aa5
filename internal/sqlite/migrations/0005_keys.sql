-- Keys by which members come in over ssh. A key belongs to one member.

CREATE TABLE ssh_key (
	fingerprint TEXT PRIMARY KEY,
	user        TEXT NOT NULL,
	since       INTEGER NOT NULL,
	doc         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX ssh_key_user ON ssh_key (user, since);
