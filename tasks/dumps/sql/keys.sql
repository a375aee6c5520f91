-- Everything that forbids two equal rows: primary keys, unique constraints and indexes, exclusion constraints.
SELECT i.indrelid::bigint AS oid, x.relname AS name,
       CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisexclusion THEN 'exclusion' ELSE 'unique' END AS kind,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.position)
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, position)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                 WHERE k.position <= i.indnkeyatts), '{}') AS columns,
       i.indexprs IS NOT NULL AS expressions, i.indpred IS NOT NULL AS predicate, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (i.indisunique OR i.indisprimary OR i.indisexclusion) AND c.relkind IN ('r', 'p')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY i.indrelid, NOT i.indisprimary, x.relname
