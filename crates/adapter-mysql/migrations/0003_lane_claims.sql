-- What each worker said last. A worker whose beat stands still is gone.
CREATE TABLE IF NOT EXISTS workers (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    beat BIGINT UNSIGNED NOT NULL,
    -- Sets of lanes: bit n is lane n.
    busy BIGINT UNSIGNED NOT NULL,
    avoids BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

-- Who decides which lane. The number grows with each claim, and only grows: what is
-- decided under a lower one does not commit.
CREATE TABLE IF NOT EXISTS lane_claims (
    lane TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    owner INT UNSIGNED NULL,
    number BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

-- All lanes that there can be, so that taking one only ever changes a row.
INSERT IGNORE INTO lane_claims (lane, owner, number) VALUES
    (0, NULL, 0), (1, NULL, 0), (2, NULL, 0), (3, NULL, 0),
    (4, NULL, 0), (5, NULL, 0), (6, NULL, 0), (7, NULL, 0),
    (8, NULL, 0), (9, NULL, 0), (10, NULL, 0), (11, NULL, 0),
    (12, NULL, 0), (13, NULL, 0), (14, NULL, 0), (15, NULL, 0),
    (16, NULL, 0), (17, NULL, 0), (18, NULL, 0), (19, NULL, 0),
    (20, NULL, 0), (21, NULL, 0), (22, NULL, 0), (23, NULL, 0),
    (24, NULL, 0), (25, NULL, 0), (26, NULL, 0), (27, NULL, 0),
    (28, NULL, 0), (29, NULL, 0), (30, NULL, 0), (31, NULL, 0),
    (32, NULL, 0), (33, NULL, 0), (34, NULL, 0), (35, NULL, 0),
    (36, NULL, 0), (37, NULL, 0), (38, NULL, 0), (39, NULL, 0),
    (40, NULL, 0), (41, NULL, 0), (42, NULL, 0), (43, NULL, 0),
    (44, NULL, 0), (45, NULL, 0), (46, NULL, 0), (47, NULL, 0),
    (48, NULL, 0), (49, NULL, 0), (50, NULL, 0), (51, NULL, 0),
    (52, NULL, 0), (53, NULL, 0), (54, NULL, 0), (55, NULL, 0),
    (56, NULL, 0), (57, NULL, 0), (58, NULL, 0), (59, NULL, 0),
    (60, NULL, 0), (61, NULL, 0), (62, NULL, 0), (63, NULL, 0);
