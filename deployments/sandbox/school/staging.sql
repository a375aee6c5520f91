-- What only the staging copy has: its own history, made by accounts that production does not know.

INSERT INTO users (id, email, username, role, first_name, last_name, password_hash, created_at, updated_at)
    VALUES (900001, 'tester@staging.local', 'tester', 'admin', 'Tessa', 'Tester', '$2y$10$' || repeat('s', 53),
        '2025-07-01', '2025-07-01');
INSERT INTO "ImportExportAudit" ("RunId", "StartedAt", "FinishedAt", "Status", "SourceHost", "FileName", "RequestedById", "ErrorMessage")
    VALUES
    ('run-1', '2025-08-01 20:00+00', '2025-08-01 20:04+00', 'succeeded', 'schulportal.example',
        'schulportal-export-20250801-195502.json.gz', 900001, NULL),
    ('run-2', '2025-10-03 20:00+00', '2025-10-03 20:01+00', 'failed', 'schulportal.example',
        'schulportal-export-20251003-195811.json.gz', 900001, E'SQLSTATE 23505 in public.users: users_email_key\nnothing was changed'),
    ('run-3', '2025-10-04 20:00+00', NULL, 'running', 'schulportal.example', NULL, 2, NULL);
