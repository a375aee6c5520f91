-- What the connected role may do in this database as a whole.
SELECT current_user::text AS role, current_database()::text AS database,
       has_database_privilege(current_database(), 'TEMP') AS temporary,
       has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('understudy') IS NOT NULL AS may_create
