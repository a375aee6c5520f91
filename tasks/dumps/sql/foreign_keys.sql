-- Foreign keys as they were declared (not their shadows on partitions), columns in the order of their pairs.
SELECT k.conname AS name, n.nspname AS schema, c.relname AS table, rn.nspname AS references_schema, r.relname AS references_table,
       (SELECT array_agg(a.attname::text ORDER BY p.position) FROM unnest(k.conkey) WITH ORDINALITY p(number, position)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY p.position) FROM unnest(k.confkey) WITH ORDINALITY p(number, position)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number) AS referenced_columns,
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated,
       obj_description(k.oid, 'pg_constraint') AS comment,
       coalesce((SELECT bool_and(t.tgenabled = 'O') FROM pg_trigger t WHERE t.tgconstraint = k.oid), true) AS watched
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY n.nspname, c.relname, k.conname
