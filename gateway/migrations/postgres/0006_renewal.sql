-- The newest key set a seal is known to hold; every seal is made with the first one at least.
ALTER TABLE device_report ADD COLUMN key_set_version BIGINT NOT NULL DEFAULT 1;
-- A certificate that takes the place of the registered one when the seal connects with it.
ALTER TABLE device ADD COLUMN next_cert_fingerprint BYTEA;
ALTER TABLE device ADD COLUMN next_cert_not_after BIGINT;
