-- Tokens let programs act for members. Only the hash of a secret is kept.

CREATE TABLE token (
	id      TEXT PRIMARY KEY,
	hash    TEXT NOT NULL UNIQUE,
	user    TEXT NOT NULL,
	since   INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX token_user ON token (user, since);
