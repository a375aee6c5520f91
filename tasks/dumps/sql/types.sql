-- What the types and collations of each root table's columns mean, beyond their names: labels of enums, bases and CHECKs of
-- domains, attributes of composites, elements and subtypes, down to the built-in ones. `lasting` is false if a domain has a
-- NOT VALID constraint: rows from before need not satisfy it.
WITH RECURSIVE used(rel, att, type) AS (
    SELECT a.attrelid, a.attname, a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
      AND t.typnamespace <> 'pg_catalog'::regnamespace
    UNION
    SELECT u.rel, u.att, e.next FROM used u JOIN pg_type t ON t.oid = u.type
    CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
        UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid) e(next)
    JOIN pg_type n ON n.oid = e.next WHERE n.typnamespace <> 'pg_catalog'::regnamespace
), meant AS (
    SELECT t.oid, t.typtype::text || ' ' || format_type(t.oid, NULL) || CASE t.typtype
        WHEN 'e' THEN (SELECT coalesce(string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumlabel), '') FROM pg_enum e WHERE e.enumtypid = t.oid)
        WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
            || (SELECT coalesce(string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY pg_get_constraintdef(k.oid)), '') FROM pg_constraint k
                WHERE k.contypid = t.oid)
        WHEN 'c' THEN (SELECT coalesce(string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum), '')
                       FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
        WHEN 'r' THEN (SELECT format_type(r.rngsubtype, NULL) || ' ' || r.rngcollation::text FROM pg_range r WHERE r.rngtypid = t.oid)
        ELSE '' END AS meaning,
        EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND NOT k.convalidated) AS forgiving
    FROM pg_type t WHERE t.oid IN (SELECT type FROM used) AND t.typtype IN ('c', 'd', 'e', 'r')
)
SELECT a.attrelid::bigint AS oid, n.nspname AS schema, c.relname AS name, a.attname AS column,
       CASE WHEN o.oid IS NULL OR o.collname = 'default' THEN '' ELSE o.collname || ' ' || o.collisdeterministic::text END AS collation,
       coalesce(string_agg(m.meaning, '; ' ORDER BY m.meaning COLLATE "C"), '') AS meaning,
       NOT coalesce(bool_or(m.forgiving), false) AS lasting
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_collation o ON o.oid = a.attcollation
LEFT JOIN used u ON u.rel = a.attrelid AND u.att = a.attname LEFT JOIN meant m ON m.oid = u.type
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND (u.type IS NOT NULL OR coalesce(o.collname, 'default') <> 'default')
GROUP BY a.attrelid, n.nspname, c.relname, a.attname, o.oid, o.collname, o.collisdeterministic
