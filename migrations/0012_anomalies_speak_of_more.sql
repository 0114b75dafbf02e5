-- What an anomaly is about besides its service, and where its lines are; empty and 0: nothing of it.
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS services Array(LowCardinality(String)) AFTER service;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS template_id UInt64 AFTER services;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS host LowCardinality(String) AFTER template_id;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS endpoint String AFTER host;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS client_ip String AFTER endpoint;
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS user String AFTER client_ip;
-- Incarnation, partition, first and last offset of each range of lines.
ALTER TABLE anomalies ADD COLUMN IF NOT EXISTS ranges Array(Tuple(String, Int32, Int64, Int64))
    DEFAULT [(incarnation, kafka_partition, first_offset, last_offset)] AFTER last_offset;

CREATE OR REPLACE VIEW anomalous_logs AS
SELECT logs.*, found.id AS anomaly_id, found.kind AS anomaly_kind, found.severity AS anomaly_severity
FROM logs
INNER JOIN
(
    SELECT
        id, kind, severity, unit, template_id, host, client_ip, user,
        arrayJoin(if(empty(services), [service], arrayDistinct(services))) AS of_service,
        arrayJoin(arrayDistinct(ranges)) AS lines,
        lines.1 AS of_incarnation, lines.2 AS of_partition, lines.3 AS first_line, lines.4 AS last_line
    FROM anomalies FINAL
) AS found
    ON logs.incarnation = found.of_incarnation
    AND logs.kafka_partition = found.of_partition
    AND logs.service = found.of_service
WHERE logs.kafka_offset BETWEEN found.first_line AND found.last_line
    AND (found.unit != 'errors' OR logs.is_error)
    AND (found.template_id = 0 OR logs.template_id = found.template_id)
    AND (found.host = '' OR logs.host = found.host)
    AND (found.client_ip = '' OR logs.client_ip = found.client_ip)
    AND (found.user = '' OR logs.user = found.user);
