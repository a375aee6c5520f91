-- What the connected role may read: of each table, partition and sequence whether its schema can be used, whether all of it can
-- be read, the columns that cannot be, and the schemas out of reach in which types of its columns lie. Names quoted for SQL.
SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted, quote_ident(n.nspname) AS quoted_schema,
       quote_ident(current_user) AS role, c.relkind = 'S' AS sequence, c.relpersistence = 'u' AS unlogged,
       has_schema_privilege(n.oid, 'USAGE') AS reachable, x.readable,
       CASE WHEN x.readable OR c.relkind = 'S' THEN '{}' ELSE ARRAY(
           SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY a.attnum) END AS lacking,
       CASE WHEN c.relkind = 'S' THEN '{}' ELSE ARRAY(
           SELECT ARRAY[a.attname::text, quote_ident(tn.nspname)]
           FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT has_schema_privilege(tn.oid, 'USAGE')
           ORDER BY a.attnum) END AS types
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                                ELSE has_table_privilege(c.oid, 'SELECT') END AS readable) x
WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.nspname, c.relname
