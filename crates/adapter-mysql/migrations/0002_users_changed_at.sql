-- When the row was written last, kept by the server whoever writes: processes
-- read from here what has changed since they looked.
ALTER TABLE users
    ADD COLUMN changed_at TIMESTAMP(6) NOT NULL
        DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    ADD KEY users_by_change (changed_at);
