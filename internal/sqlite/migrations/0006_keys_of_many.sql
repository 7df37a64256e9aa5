-- A key may be added by several members: its public half is no secret, so that who has it first proves nothing.
CREATE TABLE ssh_key_of (
	fingerprint TEXT NOT NULL,
	user        TEXT NOT NULL,
	since       INTEGER NOT NULL,
	doc         TEXT NOT NULL,
	PRIMARY KEY (fingerprint, user)
) STRICT, WITHOUT ROWID;

INSERT INTO ssh_key_of SELECT fingerprint, user, since, doc FROM ssh_key;
DROP TABLE ssh_key;
ALTER TABLE ssh_key_of RENAME TO ssh_key;
CREATE INDEX ssh_key_user ON ssh_key (user, since);
