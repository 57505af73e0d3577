-- Names the deployment, so that a broker's queues are used by one only. One row.
CREATE TABLE deployment (
    id INT UNSIGNED NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

INSERT INTO deployment (id) SELECT 1 + FLOOR(RAND() * 2147483647);
