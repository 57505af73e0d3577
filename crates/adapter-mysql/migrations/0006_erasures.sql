-- Users whose erasure is under way, each with the alias that their tickets get: a second attempt
-- goes on with the same one. Empty once they are done.
CREATE TABLE IF NOT EXISTS erasures (
    user_id VARBINARY(64) NOT NULL PRIMARY KEY,
    alias VARBINARY(64) NOT NULL
) ENGINE = InnoDB;
