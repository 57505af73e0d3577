-- When the row was written last, kept by the server whoever writes: processes
-- read from here what has changed since they looked. One statement, so done as a whole or not
-- at all; what is there already is left.
SET @step = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'changed_at') > 0,
    'DO 0',
    'ALTER TABLE users
        ADD COLUMN changed_at TIMESTAMP(6) NOT NULL
            DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        ADD KEY users_by_change (changed_at)'
);
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;
