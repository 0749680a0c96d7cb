-- How far a token has read an organization's abnormal use; the nil id stands for all organizations.
CREATE TABLE reading_mark (
    token_id        BLOB   NOT NULL,
    organization_id BLOB   NOT NULL,
    position        BIGINT NOT NULL,
    PRIMARY KEY (token_id, organization_id)
) WITHOUT ROWID;
