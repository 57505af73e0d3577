-- What readiness writes to see whether changes are taken. One row.
CREATE TABLE IF NOT EXISTS write_check (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    checks BIGINT UNSIGNED NOT NULL,
    -- Tried by the doctor: whether constraints are checked at all.
    CONSTRAINT write_check_is_one_row CHECK (id = 1)
) ENGINE = InnoDB;

INSERT IGNORE INTO write_check (id, checks) VALUES (1, 0);
