-- The lines that anomalies speak of, set apart: for anomalies of errors only the errors.
CREATE VIEW anomalous_logs AS
SELECT logs.*, found.id AS anomaly_id, found.kind AS anomaly_kind, found.severity AS anomaly_severity
FROM logs
INNER JOIN (SELECT * FROM anomalies FINAL) AS found
    ON logs.incarnation = found.incarnation
    AND logs.kafka_partition = found.kafka_partition
    AND logs.service = found.service
WHERE logs.kafka_offset BETWEEN found.first_offset AND found.last_offset
    AND (found.unit != 'errors' OR logs.is_error);
