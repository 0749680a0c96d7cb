-- Times are milliseconds since 1970; ids of devices are their eight bytes as a big-endian number.

CREATE TABLE organization (
    id              BLOB    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    grants_required BOOLEAN NOT NULL,
    device_quota    INTEGER NOT NULL,
    next_member_no  BIGINT  NOT NULL,
    version         BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL
) WITHOUT ROWID;

CREATE TABLE member (
    id              BLOB   NOT NULL PRIMARY KEY,
    organization_id BLOB   NOT NULL REFERENCES organization (id),
    no              BIGINT NOT NULL,
    name            TEXT   NOT NULL,
    phone           TEXT   NOT NULL,
    role            TEXT   NOT NULL,
    removed_at      BIGINT,
    created_at      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX member_no ON member (organization_id, no);
CREATE UNIQUE INDEX member_phone ON member (organization_id, phone) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX member_owner ON member (organization_id) WHERE role = 'owner' AND removed_at IS NULL;
CREATE INDEX member_page ON member (organization_id, id);
CREATE INDEX member_person ON member (phone) WHERE removed_at IS NULL;

CREATE TABLE verification_code (
    id              BLOB    NOT NULL PRIMARY KEY,
    organization_id BLOB    NOT NULL REFERENCES organization (id),
    device_id       BIGINT,
    phone           TEXT    NOT NULL,
    purpose         TEXT    NOT NULL,
    code_hash       BLOB    NOT NULL,
    expires_at      BIGINT  NOT NULL,
    tries_left      INTEGER NOT NULL,
    used_at         BIGINT,
    created_at      BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE INDEX verification_code_newest ON verification_code (organization_id, phone, purpose, created_at);
CREATE INDEX verification_code_age ON verification_code (created_at);

CREATE TABLE api_token (
    id              BLOB   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL,
    secret_hash     BLOB   NOT NULL,
    scopes          TEXT   NOT NULL,
    organization_id BLOB   REFERENCES organization (id),
    expires_at      BIGINT,
    last_used_at    BIGINT,
    revoked_at      BIGINT,
    created_at      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX api_token_secret ON api_token (secret_hash);

CREATE TABLE device (
    id                     BIGINT  NOT NULL PRIMARY KEY,
    model                  TEXT    NOT NULL,
    serial                 TEXT    NOT NULL,
    name                   TEXT    NOT NULL,
    note                   TEXT    NOT NULL,
    life                   TEXT    NOT NULL,
    suspended_from         TEXT,
    generation                    BIGINT  NOT NULL,
    organization_id        BLOB    REFERENCES organization (id),
    cert_fingerprint       BLOB    NOT NULL,
    cert_not_after         BIGINT,
    log_key                BLOB    NOT NULL,
    revoked_at             BIGINT,
    desired_locked         BOOLEAN NOT NULL,
    lock_issued_at         BIGINT,
    lock_applied_at        BIGINT,
    desired_config         TEXT    NOT NULL,
    desired_config_version BIGINT  NOT NULL,
    desired_offline        BOOLEAN NOT NULL,
    counter_lock           BIGINT  NOT NULL,
    counter_grant          BIGINT  NOT NULL,
    counter_config         BIGINT  NOT NULL,
    counter_firmware       BIGINT  NOT NULL,
    next_grant_no          BIGINT  NOT NULL,
    version                BIGINT  NOT NULL,
    created_at             BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX device_serial ON device (serial);
CREATE INDEX device_organization ON device (organization_id, id);
CREATE INDEX device_life ON device (life, id);

CREATE TABLE device_report (
    device_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES device (id),
    fw               BIGINT,
    hw               INTEGER,
    boot             BIGINT,
    uptime_s         BIGINT,
    battery          INTEGER,
    rssi             INTEGER,
    locked           BOOLEAN,
    locked_at        BIGINT,
    config_version   BIGINT,
    config           TEXT,
    offline_mode     BOOLEAN,
    lat_e7           INTEGER,
    lon_e7           INTEGER,
    accuracy         INTEGER,
    position_at      BIGINT,
    position_source  TEXT,
    log_first        BIGINT,
    log_next         BIGINT,
    log_capacity     BIGINT,
    generation              BIGINT,
    counter_lock     BIGINT,
    counter_grant    BIGINT,
    counter_config   BIGINT,
    counter_firmware BIGINT,
    counted          TEXT,
    connected        BOOLEAN NOT NULL,
    term             BIGINT  NOT NULL,
    node             TEXT,
    link             TEXT,
    connected_at     BIGINT,
    disconnected_at  BIGINT,
    last_contact_at  BIGINT
) WITHOUT ROWID;
CREATE INDEX device_report_connected ON device_report (connected, device_id);

CREATE TABLE device_log (
    device_id BIGINT NOT NULL REFERENCES device (id),
    epoch     BIGINT NOT NULL,
    next_seq  BIGINT NOT NULL,
    head      BLOB   NOT NULL,
    state     TEXT   NOT NULL,
    last_at   BIGINT,
    PRIMARY KEY (device_id, epoch)
) WITHOUT ROWID;

CREATE TABLE use_grant (
    id               BLOB    NOT NULL PRIMARY KEY,
    device_id        BIGINT  NOT NULL REFERENCES device (id),
    no               BIGINT  NOT NULL,
    organization_id  BLOB    NOT NULL REFERENCES organization (id),
    member_id        BLOB    REFERENCES member (id),
    max_count        INTEGER NOT NULL,
    used             BIGINT  NOT NULL,
    not_before       BIGINT  NOT NULL,
    not_after        BIGINT  NOT NULL,
    method           TEXT    NOT NULL,
    flags            INTEGER NOT NULL,
    region           TEXT,
    document         TEXT,
    remark           TEXT    NOT NULL,
    created_by       TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    delivered_at     BIGINT,
    exhausted_at     BIGINT,
    end_requested_at BIGINT,
    ended_at         BIGINT,
    end_reason       TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX use_grant_no ON use_grant (device_id, no);
CREATE INDEX use_grant_open ON use_grant (device_id) WHERE ended_at IS NULL;
CREATE INDEX use_grant_organization ON use_grant (organization_id, id);
CREATE INDEX use_grant_member ON use_grant (member_id, id) WHERE member_id IS NOT NULL;
CREATE INDEX use_grant_device ON use_grant (device_id, id);

-- Rows are never updated and never overwritten.
CREATE TABLE stamp (
    position        INTEGER NOT NULL PRIMARY KEY,
    device_id       BIGINT  NOT NULL,
    epoch           BIGINT  NOT NULL,
    seq             BIGINT  NOT NULL,
    boot            BIGINT  NOT NULL,
    up              BIGINT  NOT NULL,
    wall            BIGINT  NOT NULL,
    clock_quality   INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    grant_no        BIGINT  NOT NULL,
    grant_id        BLOB,
    member_id       BLOB,
    organization_id BLOB,
    n               INTEGER NOT NULL,
    lat_e7          INTEGER,
    lon_e7          INTEGER,
    accuracy        INTEGER,
    facts           BIGINT  NOT NULL,
    abnormal        INTEGER,
    record          BLOB    NOT NULL,
    hash            BLOB    NOT NULL,
    received_at     BIGINT  NOT NULL,
    corrected_at    BIGINT  NOT NULL,
    uncertainty_s   BIGINT  NOT NULL,
    battery         INTEGER
);
CREATE UNIQUE INDEX stamp_key ON stamp (device_id, epoch, seq);
CREATE INDEX stamp_organization ON stamp (organization_id, corrected_at, position) WHERE organization_id IS NOT NULL;
CREATE INDEX stamp_member ON stamp (member_id, corrected_at, position) WHERE member_id IS NOT NULL;
CREATE INDEX stamp_grant ON stamp (grant_id, corrected_at, position) WHERE grant_id IS NOT NULL;
CREATE INDEX stamp_abnormal ON stamp (organization_id, corrected_at, position) WHERE abnormal IS NOT NULL;

CREATE TABLE log_gap (
    device_id BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    from_seq  BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    reason    TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (device_id, epoch, from_seq)
) WITHOUT ROWID;

CREATE TABLE log_quarantine (
    device_id   BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    hash        BLOB   NOT NULL,
    record      BLOB   NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, epoch, seq, hash)
) WITHOUT ROWID;

CREATE TABLE command (
    id              BLOB    NOT NULL PRIMARY KEY,
    device_id       BIGINT  NOT NULL REFERENCES device (id),
    domain          INTEGER NOT NULL,
    counter         BIGINT  NOT NULL,
    op              TEXT    NOT NULL,
    supersede_key   TEXT,
    priority        INTEGER NOT NULL,
    args            TEXT    NOT NULL,
    ticket          BLOB,
    state           TEXT    NOT NULL,
    error_code      INTEGER,
    generation             BIGINT  NOT NULL,
    expires_at      BIGINT,
    attempts        INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    sent_at         BIGINT,
    acknowledged_at BIGINT,
    applied_at      BIGINT,
    ended_at        BIGINT
) WITHOUT ROWID;
CREATE UNIQUE INDEX command_counter ON command (device_id, domain, counter);
CREATE INDEX command_device ON command (device_id, id);
CREATE INDEX command_live ON command (priority, id) WHERE ended_at IS NULL;
CREATE INDEX command_live_device ON command (device_id, priority, id) WHERE ended_at IS NULL;

-- AUTOINCREMENT: a position is never given twice, not even after everything was deleted.
CREATE TABLE outbox (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    position        BIGINT,
    topic           TEXT    NOT NULL,
    organization_id BLOB,
    device_id       BIGINT,
    payload         TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL
);

CREATE TABLE audit (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    organization_id BLOB,
    device_id       BIGINT,
    actor           TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    detail          TEXT,
    hash            BLOB    NOT NULL,
    at              BIGINT  NOT NULL
);
CREATE INDEX audit_organization ON audit (organization_id, id) WHERE organization_id IS NOT NULL;

CREATE TABLE idempotency (
    token_id   BLOB    NOT NULL,
    key        TEXT    NOT NULL,
    route      TEXT    NOT NULL,
    body_hash  BLOB    NOT NULL,
    status     INTEGER,
    response   TEXT,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (token_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

-- The same on both databases; here the row id is the position and this stays untouched.
CREATE TABLE outbox_head (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    position BIGINT  NOT NULL
) WITHOUT ROWID;
INSERT INTO outbox_head (one, position) VALUES (1, 0);
