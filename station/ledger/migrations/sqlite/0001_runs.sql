-- One row a drive that was ever seen, known by its serial number.
CREATE TABLE drives (
    id INTEGER PRIMARY KEY,
    serial TEXT NOT NULL UNIQUE
);

-- One row a run: one drive's manifest on its way to one destination.
-- state: 0 running, 1 finished, 2 abandoned. drive_status: ledger::code.
CREATE TABLE runs (
    no INTEGER PRIMARY KEY,
    drive INTEGER NOT NULL REFERENCES drives (id),
    job_name TEXT NOT NULL,
    manifest_hash TEXT NOT NULL,
    destination TEXT NOT NULL,
    run_id TEXT NOT NULL UNIQUE,
    started_unix_ms INTEGER NOT NULL,
    log_timestamp TEXT NOT NULL,
    server_started_unix_s INTEGER,
    phase TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    drive_status INTEGER,
    summary_json TEXT,
    finished_unix_ms INTEGER
);

-- A key has one run that counts; abandoned ones are history.
CREATE UNIQUE INDEX runs_that_count ON runs (drive, job_name, manifest_hash, destination) WHERE state <> 2;

-- One row a blob whose end is known. Ten million a run: codes are small integers, the rest is NULL
-- unless something happened. chunk_exceptions: "3-17:2 20:6", ranges of chunks and their code.
CREATE TABLE outcomes (
    run INTEGER NOT NULL REFERENCES runs (no),
    blob_index INTEGER NOT NULL,
    status INTEGER NOT NULL,
    disposition INTEGER,
    chunk_default INTEGER NOT NULL,
    metadata INTEGER,
    properties INTEGER,
    bytes INTEGER NOT NULL,
    crc64 INTEGER,
    final_path TEXT,
    chunk_exceptions TEXT,
    message TEXT,
    http_status INTEGER,
    code TEXT,
    PRIMARY KEY (run, blob_index)
) WITHOUT ROWID;

-- One row a chunk that landed of a blob whose end is not known yet.
CREATE TABLE landed (
    run INTEGER NOT NULL REFERENCES runs (no),
    blob_index INTEGER NOT NULL,
    chunk_index INTEGER NOT NULL,
    target_n INTEGER NOT NULL,
    crc64 INTEGER NOT NULL,
    PRIMARY KEY (run, blob_index, chunk_index)
) WITHOUT ROWID;

-- What was about to be done to the destination for a blob whose end is not known yet.
CREATE TABLE intents (
    run INTEGER NOT NULL REFERENCES runs (no),
    blob_index INTEGER NOT NULL,
    target TEXT NOT NULL,
    replaces_existing INTEGER NOT NULL,
    etag TEXT,
    lease_id TEXT,
    PRIMARY KEY (run, blob_index)
) WITHOUT ROWID;
