-- Columns with their type followed through domains and one array level down to the base type.
WITH RECURSIVE below AS (
    SELECT t.oid AS declared, t.oid AS current, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull FROM pg_type t
    UNION ALL
    SELECT b.declared, t.oid, t.typtype, t.typbasetype, CASE WHEN b.typtypmod >= 0 THEN b.typtypmod ELSE t.typtypmod END,
           b.typnotnull OR t.typnotnull
    FROM below b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
), resolved AS (
    SELECT declared, current, typtypmod, typnotnull FROM below WHERE typtype <> 'd'
), checks AS (
    SELECT b.declared, array_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname) AS definitions
    FROM below b JOIN pg_constraint k ON k.contypid = b.current AND k.contype = 'c' GROUP BY b.declared
)
SELECT a.attrelid::bigint AS oid, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       base.typname AS base, base.typcategory::text AS category, is_array AS array,
       CASE WHEN base.typname IN ('varchar', 'bpchar') AND coalesce(modifier, -1) > 4 THEN modifier - 4 END AS max_length,
       a.attnotnull AND NOT EXISTS (  -- PostgreSQL 18: NOT NULL … NOT VALID lets the rows from before be
           SELECT FROM pg_constraint v WHERE v.conrelid = a.attrelid AND v.contype = 'n' AND v.conkey = ARRAY[a.attnum]
             AND NOT v.convalidated) OR r.typnotnull AS not_null,
       a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity,
       pg_get_expr(d.adbin, d.adrelid) AS "default",
       CASE WHEN a.attgenerated <> '' THEN coalesce((
           SELECT array_agg(DISTINCT s.attname::text) FROM pg_attribute s
           JOIN regexp_matches(d.adbin::text, ':varattno (\d+)', 'g') m ON s.attnum = m[1]::int
           WHERE s.attrelid = a.attrelid), '{}') ELSE '{}' END AS computed_from,
       coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = base.oid), '{}')
           AS enum_labels,
       CASE WHEN t.typtype = 'd' THEN format_type(t.oid, NULL) END AS domain,
       coalesce(k.definitions, '{}') AS domain_checks,
       col_description(a.attrelid, a.attnum) AS comment
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
JOIN pg_type t ON t.oid = a.atttypid
JOIN resolved r ON r.declared = a.atttypid
JOIN pg_type own ON own.oid = r.current
CROSS JOIN LATERAL (SELECT own.typcategory = 'A' AND own.typelem <> 0 AS is_array) x
JOIN resolved e ON e.declared = CASE WHEN is_array THEN own.typelem ELSE own.oid END
JOIN pg_type base ON base.oid = e.current
CROSS JOIN LATERAL (SELECT CASE WHEN a.atttypmod >= 0 THEN a.atttypmod WHEN r.typtypmod >= 0 THEN r.typtypmod
                                ELSE e.typtypmod END AS modifier) m
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN checks k ON k.declared = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
