-- Indexes that forbid no equal rows and may refuse a row nevertheless: an expression may fail, an entry may be too long. The
-- columns that they read come from pg_depend, and all of the table's where an expression reads the whole row.
SELECT rn.nspname AS schema, r.relname AS name, n.nspname AS own_schema, c.relname AS own, x.relname AS index,
       m.amname || ' ' || (SELECT string_agg(pg_get_indexdef(i.indexrelid, p, true), ', ' ORDER BY p)
                           FROM generate_series(1, i.indnkeyatts) p)
           || coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS rule,
       i.indexprs IS NOT NULL OR i.indpred IS NOT NULL AS computed,
       coalesce((SELECT array_agg(DISTINCT a.attname::text) FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
                   AND (a.attnum = ANY (i.indkey::int2[]) OR i.indexprs::text ~ ':varattno 0' OR EXISTS (
                       SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))), '{}') AS columns
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE NOT i.indisunique AND NOT i.indisexclusion AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, 2, 3, 4, 5
