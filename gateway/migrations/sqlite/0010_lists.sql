-- Lists that look for little in much: abnormal use by class, by member, by device, what of it is unread.
CREATE INDEX stamp_class ON stamp (organization_id, abnormal, corrected_at, position) WHERE abnormal IS NOT NULL;
CREATE INDEX stamp_class_time ON stamp (abnormal, corrected_at, position) WHERE abnormal IS NOT NULL;
CREATE INDEX stamp_member_abnormal ON stamp (member_id, corrected_at, position) WHERE abnormal IS NOT NULL;
CREATE INDEX stamp_device_abnormal ON stamp (device_id, epoch, seq) WHERE abnormal IS NOT NULL;
CREATE INDEX stamp_unread ON stamp (organization_id, position) WHERE abnormal IS NOT NULL;
CREATE INDEX stamp_unread_all ON stamp (position) WHERE abnormal IS NOT NULL;
-- A device's stamps of some time.
CREATE INDEX stamp_device ON stamp (device_id, corrected_at, position);
-- Grants that have not ended: a device has few of them.
DROP INDEX use_grant_open;
CREATE INDEX use_grant_open ON use_grant (device_id, id) WHERE ended_at IS NULL;
CREATE INDEX use_grant_open_all ON use_grant (id) WHERE ended_at IS NULL;
CREATE INDEX use_grant_open_organization ON use_grant (organization_id, id) WHERE ended_at IS NULL;
CREATE INDEX use_grant_open_member ON use_grant (member_id, id) WHERE ended_at IS NULL AND member_id IS NOT NULL;
CREATE INDEX use_grant_ending ON use_grant (id) WHERE ended_at IS NULL AND end_requested_at IS NOT NULL;
-- An organization's devices by life, which binding counts.
CREATE INDEX device_organization_life ON device (organization_id, life, id);
-- Commands whose time is over, and commands that wait for their turn, without walking all that wait.
CREATE INDEX command_overdue ON command (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX command_waiting ON command (device_id, state) WHERE ended_at IS NULL AND ticket IS NOT NULL;
