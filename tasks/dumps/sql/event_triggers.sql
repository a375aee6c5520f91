-- Event triggers that a load's own statements fire (ALTER TABLE, ALTER SEQUENCE, REFRESH, CREATE TABLE).
SELECT e.evtname AS name, e.evtevent AS event, e.evtfoid::regprocedure::text AS function FROM pg_event_trigger e
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
  AND (e.evttags IS NULL OR e.evttags && ARRAY['ALTER TABLE', 'ALTER SEQUENCE', 'REFRESH MATERIALIZED VIEW', 'CREATE TABLE',
       'CREATE SCHEMA', 'GRANT', 'ALTER DOMAIN', 'COMMENT'])
ORDER BY e.evtname
