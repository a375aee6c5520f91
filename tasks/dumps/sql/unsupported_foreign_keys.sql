-- Foreign keys whose own side has no index that begins with their columns, and how large that side is in bytes: deleting
-- a referenced row then reads all of it.
SELECT n.nspname AS schema, c.relname AS table, k.conname AS name, pg_table_size(c.oid) AS bytes
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL AND i.indisvalid
      AND (SELECT array_agg(u.number ORDER BY u.number) FROM unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) u(number))
          = (SELECT array_agg(u.number ORDER BY u.number) FROM unnest(k.conkey) u(number)))
