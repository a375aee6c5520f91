-- CHECK constraints of tables, as expressions over their columns, with whatever of the application's own they call: a
-- function in another language than C or internal may read other tables. `conenforced` exists from PostgreSQL 18.
SELECT k.conrelid::bigint AS oid, k.conname AS name, pg_get_expr(k.conbin, k.conrelid) AS expression,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)), '{}') AS columns,
       k.convalidated AS validated, coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AS enforced,
       k.conislocal AS local, pg_get_constraintdef(k.oid) AS definition,
       coalesce((SELECT array_agg(DISTINCT d.refobjid::regprocedure::text) FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
                 JOIN pg_language l ON l.oid = p.prolang
                 WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
                   AND l.lanname NOT IN ('c', 'internal')), '{}') AS functions
FROM pg_constraint k WHERE k.contype = 'c' AND k.conrelid <> 0 ORDER BY k.conrelid, k.conname
