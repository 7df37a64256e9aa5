-- Leases end for a reason, can be shared, and are asked for later.

ALTER TABLE lease ADD COLUMN till INTEGER NOT NULL DEFAULT 0; -- when it ended; 0 while it runs

CREATE INDEX lease_past ON lease (till) WHERE ended = 1;

UPDATE lease SET till = since WHERE ended = 1; -- before, the time stood in doc alone

ALTER TABLE lease_gpu ADD COLUMN shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));

DROP INDEX lease_gpu_running;

-- One GPU, one running lease, or as many as share it: whatever the code above believes.
CREATE UNIQUE INDEX lease_gpu_running ON lease_gpu (gpu) WHERE ended = 0 AND shared = 0;

CREATE INDEX lease_gpu_shared ON lease_gpu (gpu) WHERE ended = 0;

CREATE TRIGGER lease_gpu_not_mixed BEFORE INSERT ON lease_gpu
WHEN NEW.ended = 0 AND EXISTS (SELECT 1 FROM lease_gpu WHERE gpu = NEW.gpu AND ended = 0 AND lease <> NEW.lease AND shared <> NEW.shared)
BEGIN
	SELECT RAISE(ABORT, 'a shared GPU is nobody''s alone');
END;

-- Who waits for GPUs: a workspace or a run has one place.

CREATE TABLE ticket (
	workspace TEXT PRIMARY KEY,
	since     INTEGER NOT NULL,
	doc       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- GPUs promised for a time to come.

CREATE TABLE reservation (
	id    TEXT PRIMARY KEY,
	since INTEGER NOT NULL,
	till  INTEGER NOT NULL,
	doc   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX reservation_till ON reservation (till);

-- What lent GPUs did: a row for each lease and minute, and after a while for each hour.
-- busy is in thousandths of a second in which a GPU computed, energy in joules.

CREATE TABLE gpu_minute (
	lease  TEXT NOT NULL,
	at     INTEGER NOT NULL,
	busy   INTEGER NOT NULL,
	energy INTEGER NOT NULL,
	PRIMARY KEY (at, lease)
) STRICT, WITHOUT ROWID;

CREATE TABLE gpu_hour (
	lease  TEXT NOT NULL,
	at     INTEGER NOT NULL,
	busy   INTEGER NOT NULL,
	energy INTEGER NOT NULL,
	PRIMARY KEY (at, lease)
) STRICT, WITHOUT ROWID;

-- Commands that run by themselves.

CREATE TABLE run (
	id    TEXT PRIMARY KEY,
	owner TEXT NOT NULL,
	since INTEGER NOT NULL,
	over  INTEGER NOT NULL CHECK (over IN (0, 1)),
	doc   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX run_owner ON run (owner, since);
CREATE INDEX run_open ON run (since) WHERE over = 0;
