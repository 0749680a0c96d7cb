-- When the latest try of a request with a key began; created_at stays the time of the first.
ALTER TABLE idempotency ADD COLUMN started_at BIGINT NOT NULL DEFAULT 0;
