-- What a device is found by in the audit: why it is suspended, its last alarm. Rare rows only, so that storing records
-- costs nothing more.
CREATE INDEX audit_marked ON audit (device_id, id)
    WHERE action IN ('device.suspend', 'device.suspended', 'device.alarm', 'log.fork');
