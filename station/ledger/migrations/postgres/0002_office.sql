-- What lists are ordered by is compared byte by byte (COLLATE "C"), as SQLite does it.

-- One row a job. key_*: the ARM key in lower case, by which it is found; subscription, resource_group
-- and name: as they were first spelled. document: the whole job as JSON, without secrets. Numbers are
-- never given twice: they are cursors of lists.
CREATE TABLE jobs (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    version BIGINT NOT NULL,
    created_unix_ms BIGINT NOT NULL,
    updated_unix_ms BIGINT NOT NULL,
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
    job BIGINT NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    drive_id TEXT COLLATE "C" NOT NULL,
    place BIGINT NOT NULL,
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    state TEXT NOT NULL,
    station TEXT,
    bay TEXT,
    claimable BIGINT NOT NULL CHECK (claimable IN (0, 1)),
    document TEXT NOT NULL,
    PRIMARY KEY (job, drive_id)
);

CREATE UNIQUE INDEX job_drives_active ON job_drives (drive_id) WHERE active = 1;
CREATE INDEX job_drives_at ON job_drives (station, drive_id) WHERE active = 1;
-- With the station, so that another station's drive costs an entry and not a row.
CREATE INDEX job_drives_waiting ON job_drives (job, place, station) WHERE active = 1 AND claimable = 1;

-- Who works on a drive. A row stays when the drive is let go (station is NULL then), and the fence
-- of a later claim is larger. A row of a job that is gone goes with it; its fence is never given again.
CREATE TABLE drive_claims (
    job BIGINT NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    drive_id TEXT COLLATE "C" NOT NULL,
    station TEXT,
    fence BIGINT NOT NULL,
    ends_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (job, drive_id)
);

CREATE INDEX drive_claims_of ON drive_claims (station) WHERE station IS NOT NULL;

CREATE SEQUENCE drive_fences;

-- key: without blanks and in lower case, as a scanner and a person agree on it.
CREATE TABLE job_parcels (
    job BIGINT NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    tracking_number TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (job, place)
);

CREATE INDEX job_parcels_by_key ON job_parcels (key, job);

CREATE TABLE job_timers (
    job BIGINT NOT NULL REFERENCES jobs (no) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL,
    due_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (job, kind)
);

CREATE INDEX job_timers_due ON job_timers (due_unix_ms, job, kind);

-- The ends of the custody chains; the row is the lock of its chain's writers.
CREATE TABLE custody_chains (
    chain TEXT COLLATE "C" PRIMARY KEY,
    no BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

-- What was done, for ever. job: the ARM id as custody::job_key spells it.
CREATE TABLE custody_entries (
    chain TEXT COLLATE "C" NOT NULL,
    no BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    job TEXT,
    job_no BIGINT,
    entry BYTEA NOT NULL,
    PRIMARY KEY (chain, no)
);

CREATE INDEX custody_of_job ON custody_entries (job, chain, no) WHERE job IS NOT NULL;

-- The hashes show what was changed; the triggers keep mistakes and simple statements from trying.
CREATE FUNCTION custody_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'custody is never changed and never deleted';
END $$;
CREATE FUNCTION custody_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.no <> 1 + COALESCE((SELECT MAX(no) FROM custody_entries WHERE chain = NEW.chain), 0) THEN
        RAISE EXCEPTION 'a custody entry comes after the last one';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION custody_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.chain <> OLD.chain OR NEW.no <= OLD.no THEN
        RAISE EXCEPTION 'a custody chain only grows';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER custody_entries_are_appended BEFORE INSERT ON custody_entries
    FOR EACH ROW EXECUTE FUNCTION custody_append();
CREATE TRIGGER custody_entries_are_not_changed BEFORE UPDATE OR DELETE ON custody_entries
    FOR EACH ROW EXECUTE FUNCTION custody_refuse();
CREATE TRIGGER custody_entries_are_not_emptied BEFORE TRUNCATE ON custody_entries
    FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse();
CREATE TRIGGER custody_chains_only_grow BEFORE UPDATE ON custody_chains
    FOR EACH ROW EXECUTE FUNCTION custody_grow();
CREATE TRIGGER custody_chains_are_not_deleted BEFORE DELETE ON custody_chains
    FOR EACH ROW EXECUTE FUNCTION custody_refuse();
CREATE TRIGGER custody_chains_are_not_emptied BEFORE TRUNCATE ON custody_chains
    FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse();

CREATE TABLE custody_checkpoints (
    chain TEXT COLLATE "C" NOT NULL,
    no BIGINT NOT NULL,
    at_unix_ms BIGINT NOT NULL,
    checkpoint TEXT NOT NULL,
    PRIMARY KEY (chain, no, at_unix_ms)
);

CREATE TABLE secrets (
    name TEXT COLLATE "C" PRIMARY KEY,
    job BIGINT REFERENCES jobs (no) ON DELETE CASCADE,
    master_key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE INDEX secrets_of_job ON secrets (job) WHERE job IS NOT NULL;
CREATE INDEX secrets_by_master_key ON secrets (name, master_key_id);

CREATE TABLE api_tokens (
    id TEXT COLLATE "C" PRIMARY KEY,
    sha256 BYTEA NOT NULL UNIQUE,
    label TEXT NOT NULL,
    roles TEXT NOT NULL,
    document TEXT NOT NULL,
    created_unix_ms BIGINT NOT NULL,
    expires_unix_ms BIGINT,
    last_used_unix_ms BIGINT,
    revoked_unix_ms BIGINT
);

-- The last number that an event got. It is raised by the transaction that adds the events, which
-- others wait for, so numbers follow the order of commits.
CREATE TABLE event_counter (last BIGINT NOT NULL);
INSERT INTO event_counter (last) VALUES (0);

CREATE TABLE events (
    no BIGINT PRIMARY KEY,
    at_unix_ms BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    job TEXT,
    drive TEXT,
    bay TEXT,
    body TEXT NOT NULL
);

CREATE TABLE hooks (
    id TEXT COLLATE "C" PRIMARY KEY,
    url TEXT NOT NULL,
    secret_name TEXT NOT NULL,
    kinds TEXT NOT NULL,
    enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    created_unix_ms BIGINT NOT NULL,
    position BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_try_unix_ms BIGINT NOT NULL,
    last_error TEXT
);

CREATE INDEX hooks_by_next_try ON hooks (next_try_unix_ms, id) WHERE enabled = 1;

-- What was answered to a request with an idempotency key. headers: JSON, a list of pairs.
CREATE TABLE replies (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT NOT NULL,
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    expires_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (caller, key)
);

CREATE INDEX replies_by_end ON replies (expires_unix_ms);
