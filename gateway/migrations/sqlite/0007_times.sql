-- When the organization's switch of grants was thrown: JSON list of times, each to the other mode.
ALTER TABLE organization ADD COLUMN mode_switched_at TEXT NOT NULL DEFAULT '[]';
-- When the unlock behind the newest lock was issued.
ALTER TABLE device ADD COLUMN lock_lifted_at BIGINT;
