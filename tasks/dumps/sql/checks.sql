-- CHECK constraints of tables, as expressions over their columns.
SELECT k.conrelid::bigint AS oid, k.conname AS name, pg_get_expr(k.conbin, k.conrelid) AS expression,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)), '{}') AS columns
FROM pg_constraint k WHERE k.contype = 'c' AND k.conrelid <> 0 ORDER BY k.conrelid, k.conname
