-- Everything that forbids two equal rows: primary keys, unique constraints and indexes, exclusion constraints.
-- Columns inside expressions and predicates come from the expression trees (`:varattno N`, 0 = the whole row) and, for
-- what a tree does not show, from pg_depend. The text of a definition is only compared as a whole, never searched.
SELECT i.indrelid::bigint AS oid, x.relname AS name,
       CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisexclusion THEN 'exclusion' ELSE 'unique' END AS kind,
       coalesce((SELECT array_agg(a.attname::text ORDER BY p.position) FROM unnest(u.numbers, u.positions, u.texts) p(number, position, text) JOIN pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum = p.number), '{}') AS columns,
       i.indexprs IS NOT NULL AS expressions, i.indpred IS NOT NULL AS predicate,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
                   AND (a.attnum = ANY (t.computed) OR 0 = ANY (t.computed)
                        OR a.attnum = ANY (t.known) AND a.attnum <> ALL (t.conditions))), '{}') AS computed,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
                   AND (a.attnum = ANY (t.conditions) OR 0 = ANY (t.conditions))), '{}') AS conditions,
       coalesce((SELECT array_agg(DISTINCT a.attname::text) FROM unnest(u.numbers, u.positions, u.texts) p(number, position, text) JOIN pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum > 0 AND NOT a.attisdropped
                 CROSS JOIN unnest(ARRAY['lower', 'upper']) f(name)
                 WHERE p.number = 0 AND p.text IN (format('%s(%I)', f.name, a.attname), format('%s((%I)::text)', f.name, a.attname), format('%s(%I::text)', f.name, a.attname))),
                '{}') AS folded,
       coalesce((SELECT array_agg(p.text ORDER BY p.position) FROM unnest(u.numbers, u.positions, u.texts) p(number, position, text) WHERE p.number = 0), '{}') AS formulas,
       CASE WHEN k.contype = 'x' THEN pg_get_constraintdef(k.oid)
            ELSE (SELECT string_agg(p.text || ' ' || o.opcname, ', ' ORDER BY p.position) FROM unnest(u.numbers, u.positions, u.texts) p(number, position, text) JOIN pg_opclass o
                  ON o.oid = (i.indclass::oid[])[p.position - 1])
                 || coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '')
                 || CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN ' NULLS NOT DISTINCT' ELSE '' END
       END AS rule,
       pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'x' AND k.conrelid = i.indrelid
CROSS JOIN LATERAL (
    SELECT coalesce((SELECT array_agg(m[1]::int) FROM regexp_matches(i.indexprs::text, ':varattno (\d+)', 'g') m), '{}') AS computed,
           coalesce((SELECT array_agg(m[1]::int) FROM regexp_matches(i.indpred::text, ':varattno (\d+)', 'g') m), '{}') AS conditions,
           coalesce((SELECT array_agg(d.refobjsubid) FROM pg_depend d
                     WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass
                       AND d.refobjid = i.indrelid AND d.refobjsubid <> ALL (i.indkey::int2[])), '{}') AS known) t
CROSS JOIN LATERAL (
    SELECT array_agg(k.position::int) AS positions, array_agg(k.number) AS numbers,
           array_agg(pg_get_indexdef(i.indexrelid, k.position::int, true)) AS texts
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, position) WHERE k.position <= i.indnkeyatts) u
WHERE (i.indisunique OR i.indisprimary OR i.indisexclusion) AND c.relkind IN ('r', 'p')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY i.indrelid, NOT i.indisprimary, x.relname
