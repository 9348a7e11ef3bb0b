-- One row a drive that was ever seen, known by its serial number.
-- fence: the generation of its lease. Whoever writes locks the row FOR SHARE and compares; whoever
-- takes the drive over raises it, and so waits for writers that are under way.
CREATE TABLE drives (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial TEXT NOT NULL UNIQUE,
    fence BIGINT NOT NULL DEFAULT 0
);

-- Who runs a drive, and until when by this database's clock; ends is NULL when nobody does. A table
-- of its own: it is renewed all the time, and a renewal must not wait for a long write.
CREATE TABLE leases (
    drive BIGINT PRIMARY KEY REFERENCES drives (id),
    fence BIGINT NOT NULL,
    holder TEXT NOT NULL,
    ends TIMESTAMPTZ
) WITH (fillfactor = 50);

-- One row a run: one drive's manifest on its way to one destination.
-- state: 0 running, 1 finished, 2 abandoned. drive_status: ledger::code.
CREATE TABLE runs (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drive BIGINT NOT NULL REFERENCES drives (id),
    job_name TEXT NOT NULL,
    manifest_hash TEXT NOT NULL,
    destination TEXT NOT NULL,
    run_id TEXT NOT NULL UNIQUE,
    started_unix_ms BIGINT NOT NULL,
    log_timestamp TEXT NOT NULL,
    server_started_unix_s BIGINT,
    phase TEXT,
    state SMALLINT NOT NULL DEFAULT 0,
    drive_status SMALLINT,
    summary_json TEXT,
    finished_unix_ms BIGINT
);

-- A key has one run that counts; abandoned ones are history.
CREATE UNIQUE INDEX runs_that_count ON runs (drive, job_name, manifest_hash, destination) WHERE state <> 2;

-- One row a blob whose end is known. Ten million a run: codes are small integers, the widest columns
-- come first so that no padding is stored, the rest is NULL unless something happened.
-- chunk_exceptions: "3-17:2 20:6", ranges of chunks and their code.
CREATE TABLE outcomes (
    run BIGINT NOT NULL REFERENCES runs (no),
    blob_index BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    crc64 BIGINT,
    http_status INTEGER,
    status SMALLINT NOT NULL,
    chunk_default SMALLINT NOT NULL,
    disposition SMALLINT,
    metadata SMALLINT,
    properties SMALLINT,
    final_path TEXT,
    chunk_exceptions TEXT,
    message TEXT,
    code TEXT,
    PRIMARY KEY (run, blob_index)
);

-- One row a chunk that landed of a blob whose end is not known yet.
CREATE TABLE landed (
    run BIGINT NOT NULL REFERENCES runs (no),
    blob_index BIGINT NOT NULL,
    chunk_index BIGINT NOT NULL,
    target_n BIGINT NOT NULL,
    crc64 BIGINT NOT NULL,
    PRIMARY KEY (run, blob_index, chunk_index)
);

-- What was about to be done to the destination for a blob whose end is not known yet.
CREATE TABLE intents (
    run BIGINT NOT NULL REFERENCES runs (no),
    blob_index BIGINT NOT NULL,
    replaces_existing BOOLEAN NOT NULL,
    target TEXT NOT NULL,
    etag TEXT,
    lease_id TEXT,
    PRIMARY KEY (run, blob_index)
);
