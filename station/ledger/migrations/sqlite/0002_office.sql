-- One row a job. key_*: the ARM key in lower case, by which it is found; subscription, resource_group
-- and name: as they were first spelled. document: the whole job as JSON, without secrets. Numbers are
-- never given twice: they are cursors of lists.
CREATE TABLE jobs (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    key_subscription TEXT NOT NULL,
    key_group TEXT NOT NULL,
    key_name TEXT NOT NULL,
    subscription TEXT NOT NULL,
    resource_group TEXT NOT NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    storage_account TEXT NOT NULL,
    job_type TEXT NOT NULL,
    state TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    version INTEGER NOT NULL,
    created_unix_ms INTEGER NOT NULL,
    updated_unix_ms INTEGER NOT NULL,
    document TEXT NOT NULL
);

CREATE UNIQUE INDEX jobs_by_key ON jobs (key_subscription, key_group, key_name);
-- Lists go in order of numbers; what they filter by is in the index, so that a job that is not shown
-- costs an entry of it and not a row.
CREATE INDEX jobs_of_subscription ON jobs (key_subscription, no, state, job_type);
CREATE INDEX jobs_of_group ON jobs (key_subscription, key_group, no, state, job_type);
CREATE INDEX jobs_of_state ON jobs (state, no, job_type);
CREATE INDEX jobs_of_type ON jobs (job_type, no, state);

-- One row a drive of a job; active: the job's. A drive is in one active job at most.
CREATE TABLE job_drives (
    job INTEGER NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    drive_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    state TEXT NOT NULL,
    station TEXT,
    bay TEXT,
    claimable INTEGER NOT NULL CHECK (claimable IN (0, 1)),
    document TEXT NOT NULL,
    PRIMARY KEY (job, drive_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX job_drives_active ON job_drives (drive_id) WHERE active = 1;
CREATE INDEX job_drives_at ON job_drives (station, drive_id) WHERE active = 1;
-- With the station, so that another station's drive costs an entry and not a row.
CREATE INDEX job_drives_waiting ON job_drives (job, place, station) WHERE active = 1 AND claimable = 1;

-- Who works on a drive. A row stays when the drive is let go (station is NULL then), and the fence
-- of a later claim is larger. A row of a job that is gone goes with it; its fence is never given again.
CREATE TABLE drive_claims (
    job INTEGER NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    drive_id TEXT NOT NULL,
    station TEXT,
    fence INTEGER NOT NULL,
    ends_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (job, drive_id)
) WITHOUT ROWID;

CREATE INDEX drive_claims_of ON drive_claims (station) WHERE station IS NOT NULL;

CREATE TABLE drive_fences (last INTEGER NOT NULL);
INSERT INTO drive_fences (last) VALUES (0);

-- key: without blanks and in lower case, as a scanner and a person agree on it.
CREATE TABLE job_parcels (
    job INTEGER NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    tracking_number TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (job, place)
) WITHOUT ROWID;

CREATE INDEX job_parcels_by_key ON job_parcels (key, job);

CREATE TABLE job_timers (
    job INTEGER NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    due_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (job, kind)
) WITHOUT ROWID;

CREATE INDEX job_timers_due ON job_timers (due_unix_ms, job, kind);

-- The ends of the custody chains; the row is the lock of its chain's writers.
CREATE TABLE custody_chains (
    chain TEXT PRIMARY KEY,
    no INTEGER NOT NULL,
    hash BLOB NOT NULL
) WITHOUT ROWID;

-- What was done, for ever. job: the ARM id as custody::job_key spells it.
CREATE TABLE custody_entries (
    chain TEXT NOT NULL,
    no INTEGER NOT NULL,
    hash BLOB NOT NULL,
    job TEXT,
    job_no INTEGER,
    entry BLOB NOT NULL,
    PRIMARY KEY (chain, no)
) WITHOUT ROWID;

CREATE INDEX custody_of_job ON custody_entries (job, chain, no) WHERE job IS NOT NULL;

-- The hashes show what was changed; the triggers keep mistakes and simple statements from trying.
CREATE TRIGGER custody_entries_are_appended BEFORE INSERT ON custody_entries
WHEN NEW.no <> 1 + COALESCE((SELECT MAX(no) FROM custody_entries WHERE chain = NEW.chain), 0)
BEGIN
    SELECT RAISE(ABORT, 'a custody entry comes after the last one');
END;
CREATE TRIGGER custody_entries_are_not_changed BEFORE UPDATE ON custody_entries
BEGIN
    SELECT RAISE(ABORT, 'a custody entry is never changed');
END;
CREATE TRIGGER custody_entries_are_not_deleted BEFORE DELETE ON custody_entries
BEGIN
    SELECT RAISE(ABORT, 'a custody entry is never deleted');
END;
CREATE TRIGGER custody_chains_only_grow BEFORE UPDATE ON custody_chains
WHEN NEW.chain <> OLD.chain OR NEW.no <= OLD.no
BEGIN
    SELECT RAISE(ABORT, 'a custody chain only grows');
END;
CREATE TRIGGER custody_chains_are_not_deleted BEFORE DELETE ON custody_chains
BEGIN
    SELECT RAISE(ABORT, 'a custody chain is never deleted');
END;

CREATE TABLE custody_checkpoints (
    chain TEXT NOT NULL,
    no INTEGER NOT NULL,
    at_unix_ms INTEGER NOT NULL,
    checkpoint TEXT NOT NULL,
    PRIMARY KEY (chain, no, at_unix_ms)
) WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    job INTEGER REFERENCES jobs (no) ON DELETE CASCADE,
    master_key_id TEXT NOT NULL,
    sealed BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX secrets_of_job ON secrets (job) WHERE job IS NOT NULL;
CREATE INDEX secrets_by_master_key ON secrets (name, master_key_id);

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    roles TEXT NOT NULL,
    document TEXT NOT NULL,
    created_unix_ms INTEGER NOT NULL,
    expires_unix_ms INTEGER,
    last_used_unix_ms INTEGER,
    revoked_unix_ms INTEGER
) WITHOUT ROWID;

-- The last number that an event got. It is raised by the transaction that adds the events, which
-- others wait for, so numbers follow the order of commits.
CREATE TABLE event_counter (last INTEGER NOT NULL);
INSERT INTO event_counter (last) VALUES (0);

CREATE TABLE events (
    no INTEGER PRIMARY KEY,
    at_unix_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    job TEXT,
    drive TEXT,
    bay TEXT,
    body TEXT NOT NULL
);

CREATE TABLE hooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret_name TEXT NOT NULL,
    kinds TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_unix_ms INTEGER NOT NULL,
    position INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_try_unix_ms INTEGER NOT NULL,
    last_error TEXT
) WITHOUT ROWID;

CREATE INDEX hooks_by_next_try ON hooks (next_try_unix_ms, id) WHERE enabled = 1;

-- What was answered to a request with an idempotency key. headers: JSON, a list of pairs.
CREATE TABLE replies (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    expires_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) WITHOUT ROWID;

CREATE INDEX replies_by_end ON replies (expires_unix_ms);
