-- Texts of templates live for 90 days since they were last told, and whoever still meets a template tells
-- its text once a week, and after each start: no row (30 days) is without its text, and what nobody writes any more goes
-- (docs/adr/009). Those that are there have been told once, some of them long ago.
ALTER TABLE template_texts UPDATE recorded_at = now64(3, 'UTC') WHERE recorded_at < now64(3, 'UTC') - INTERVAL 1 DAY;

ALTER TABLE template_texts MODIFY TTL toDateTime(recorded_at) + INTERVAL 90 DAY SETTINGS materialize_ttl_after_modify = 0;
