-- How far each follower of the outbox that must not forget has come.
CREATE TABLE follower (
    name     TEXT   NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE INDEX command_unsigned ON command (priority, id) WHERE ended_at IS NULL AND ticket IS NULL;
