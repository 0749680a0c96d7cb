-- Lists over all organizations, in order of time.
CREATE INDEX stamp_time ON stamp (corrected_at, position);
CREATE INDEX stamp_abnormal_time ON stamp (corrected_at, position) WHERE abnormal IS NOT NULL;
