-- Who changes shows and users. Rows refer to one by number, so that erasing a user who is one
-- changes a row here and searches no other table. A name may have several numbers.
CREATE TABLE IF NOT EXISTS authors (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARBINARY(100) NOT NULL,
    KEY authors_by_name (name)
) ENGINE = InnoDB;

-- Columns at the end, which may be NULL: servers add these without copying the table. Of changes
-- of terms.
SET @step = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'journal' AND column_name = 'author_id') > 0,
    'DO 0',
    'ALTER TABLE journal ADD COLUMN author_id BIGINT UNSIGNED NULL'
);
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- `changed_by` is of the change at `changed_by_at`. If that is not `changed_at`, an earlier release
-- has changed the row since, and nobody knows who it was.
SET @step = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'created_by') > 0,
    'DO 0',
    'ALTER TABLE users
        ADD COLUMN created_by BIGINT UNSIGNED NULL,
        ADD COLUMN changed_by BIGINT UNSIGNED NULL,
        ADD COLUMN changed_by_at TIMESTAMP(6) NULL DEFAULT NULL'
);
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;
