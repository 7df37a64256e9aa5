-- To whom a workspace was opened. The names stand in its doc too; here they are found by.

CREATE TABLE guest (
	workspace TEXT NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
	member    TEXT NOT NULL,
	PRIMARY KEY (workspace, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX guest_member ON guest (member);

-- Environments that members share.

CREATE TABLE shared (
	id    TEXT PRIMARY KEY,
	since INTEGER NOT NULL,
	doc   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What boxes used: a row for each minute. cpu is in thousandths of a core, memory in bytes.

CREATE TABLE sample (
	workspace TEXT NOT NULL,
	at        INTEGER NOT NULL,
	cpu       INTEGER NOT NULL,
	memory    INTEGER NOT NULL,
	PRIMARY KEY (workspace, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX sample_at ON sample (at);
