-- Tables, partitions, foreign tables and views of the database's own schemas, parents by name. `hidden`: row security
-- hides rows of it from the connected role.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, c.relispartition AS partition,
       c.reltuples::bigint AS estimated_rows, pg_table_size(c.oid) AS bytes, obj_description(c.oid, 'pg_class') AS comment,
       coalesce((SELECT array_agg(i.inhparent::bigint ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid), '{}')
           AS parents,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
           AS of_extension,
       coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound, coalesce(pg_get_partkeydef(c.oid), '') AS key,
       c.relpersistence = 'u' AS unlogged, coalesce(s.srvname, '') AS server,
       CASE WHEN c.relrowsecurity THEN row_security_active(c.oid) ELSE false END AS hidden
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.nspname, c.relname
