-- CHECK and (from PostgreSQL 18) NOT NULL constraints that are NOT VALID, as declared: rows from before need not satisfy
-- them, rows that a load writes must. Parents before children.
SELECT n.nspname AS schema, c.relname AS name, k.conname AS constraint, pg_get_constraintdef(k.oid) AS definition,
       obj_description(k.oid, 'pg_constraint') AS comment, rn.nspname AS root_schema, r.relname AS root
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype IN ('c', 'n') AND NOT k.convalidated AND k.conislocal
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AND c.relkind IN ('r', 'p')
ORDER BY k.coninhcount, n.nspname, c.relname, k.conname
