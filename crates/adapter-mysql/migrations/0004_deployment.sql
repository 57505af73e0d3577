-- Names the deployment, so that a broker's queues are used by one only. One row.
CREATE TABLE IF NOT EXISTS deployment (
    id INT UNSIGNED NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

INSERT INTO deployment (id)
    SELECT 1 + FLOOR(RAND() * 2147483647) FROM (SELECT COUNT(*) AS ids FROM deployment) AS made
    WHERE made.ids = 0;
