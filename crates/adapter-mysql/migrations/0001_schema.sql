-- Identifiers are VARBINARY, so that they sort and compare byte by byte whatever
-- the server's collation. Instants are microseconds since 1970 in UTC: no
-- session's time zone can change them.

CREATE TABLE IF NOT EXISTS users (
    id VARBINARY(64) NOT NULL PRIMARY KEY,
    name VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
    priority TINYINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

-- Terms of sale and counters are one row: its lock is the show's lock.
CREATE TABLE IF NOT EXISTS shows (
    id VARBINARY(64) NOT NULL PRIMARY KEY,
    title VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
    capacity INT UNSIGNED NOT NULL,
    max_per_user INT UNSIGNED NOT NULL,
    hold_seconds INT UNSIGNED NOT NULL,
    sales_open_at BIGINT NULL,
    sales_close_at BIGINT NULL,
    available INT UNSIGNED NOT NULL,
    held INT UNSIGNED NOT NULL,
    sold INT UNSIGNED NOT NULL,
    seq BIGINT UNSIGNED NOT NULL,
    -- The last line of defence: what would oversell does not commit.
    CONSTRAINT shows_seats_add_up CHECK (available + held + sold = capacity)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tickets (
    id BINARY(16) NOT NULL PRIMARY KEY,
    show_id VARBINARY(64) NOT NULL,
    user_id VARBINARY(64) NOT NULL,
    quantity INT UNSIGNED NOT NULL,
    class TINYINT UNSIGNED NOT NULL,
    requested_at BIGINT NOT NULL,
    accepted_by INT UNSIGNED NOT NULL,
    redriven BOOLEAN NOT NULL,
    verdict TINYINT UNSIGNED NOT NULL,
    -- Of a verdict `reserved`; stays when the hold has ended.
    hold_expires_at BIGINT NULL,
    decided_at BIGINT NOT NULL,
    -- NULL for an order of a show that does not exist.
    decision_seq BIGINT UNSIGNED NULL,
    status TINYINT UNSIGNED NOT NULL,
    version INT UNSIGNED NOT NULL,
    -- The history, and the proof that no number is given twice.
    UNIQUE KEY tickets_history (show_id, decision_seq),
    -- A user's tickets, newest first.
    KEY tickets_of_user (user_id, requested_at, id)
) ENGINE = InnoDB;

-- Reserved tickets only: what a sweep looks for is never searched for among
-- all the tickets that have ended.
CREATE TABLE IF NOT EXISTS holds (
    ticket_id BINARY(16) NOT NULL PRIMARY KEY,
    show_id VARBINARY(64) NOT NULL,
    expires_at BIGINT NOT NULL,
    KEY holds_of_show (show_id, expires_at),
    KEY holds_by_end (expires_at)
) ENGINE = InnoDB;

-- Reserved and confirmed seats of those who ever had some: the limit per user
-- costs one look-up, however many tickets the user has. No CHECK: of
-- INSERT … ON DUPLICATE KEY UPDATE it sees what is added, which may be negative.
CREATE TABLE IF NOT EXISTS live_seats (
    show_id VARBINARY(64) NOT NULL,
    user_id VARBINARY(64) NOT NULL,
    seats INT NOT NULL,
    PRIMARY KEY (show_id, user_id)
) ENGINE = InnoDB;

-- Every change that is not a decision.
CREATE TABLE IF NOT EXISTS journal (
    show_id VARBINARY(64) NOT NULL,
    seq BIGINT UNSIGNED NOT NULL,
    at BIGINT NOT NULL,
    kind TINYINT UNSIGNED NOT NULL,
    ticket_id BINARY(16) NULL,
    capacity INT UNSIGNED NULL,
    max_per_user INT UNSIGNED NULL,
    hold_seconds INT UNSIGNED NULL,
    sales_open_at BIGINT NULL,
    sales_close_at BIGINT NULL,
    PRIMARY KEY (show_id, seq)
) ENGINE = InnoDB;
