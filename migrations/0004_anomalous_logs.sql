-- The lines that anomalies speak of, set apart: for anomalies of errors only the errors.
CREATE VIEW anomalous_logs AS
SELECT logs.*, anomalies.id AS anomaly_id, anomalies.kind AS anomaly_kind, anomalies.severity AS anomaly_severity
FROM logs
INNER JOIN (SELECT * FROM anomalies FINAL) AS anomalies
    ON logs.incarnation = anomalies.incarnation
    AND logs.kafka_partition = anomalies.kafka_partition
    AND logs.service = anomalies.service
WHERE logs.kafka_offset BETWEEN anomalies.first_offset AND anomalies.last_offset
    AND (anomalies.unit != 'errors' OR logs.is_error);
