-- What HELLO has raised alarms about in this boot: {"boot": n, "kinds": [..]}.
ALTER TABLE device_report ADD COLUMN alarmed JSON;
-- Grants that device and platform do not agree on yet.
CREATE INDEX use_grant_unsettled ON use_grant (device_id)
    WHERE ended_at IS NULL AND (end_requested_at IS NOT NULL OR delivered_at IS NULL);
-- Devices in offline mode.
CREATE INDEX device_offline ON device (id) WHERE desired_offline;
