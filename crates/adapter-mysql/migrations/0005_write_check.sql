-- What readiness writes to see whether changes are taken. One row.
CREATE TABLE IF NOT EXISTS write_check (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    checks BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO write_check (id, checks) VALUES (1, 0);
