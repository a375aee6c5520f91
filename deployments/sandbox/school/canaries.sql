-- Personal values that nobody can mistake, in every kind of place where one may hide. It reads canary.<kind>.

CREATE FUNCTION pg_temp.canary(kind text) RETURNS text LANGUAGE sql STABLE RETURN current_setting('canary.' || kind);

INSERT INTO users (email, username, role, first_name, last_name, phone, mobile, street, postcode, city, birth_date, password_hash,
        totp_seed, api_key, iban, other_emails, notes, last_login_ip, created_at, updated_at, deleted_at)
    SELECT pg_temp.canary('email'), pg_temp.canary('username'), 'guardian', pg_temp.canary('first_name'), pg_temp.canary('last_name'),
        pg_temp.canary('phone'), pg_temp.canary('phone'), pg_temp.canary('street'), '1010', 'Wien',
        pg_temp.canary('birth_date')::date, pg_temp.canary('password_hash'), pg_temp.canary('secret')::bytea,
        pg_temp.canary('secret'), pg_temp.canary('iban'), ARRAY['x@post.example', pg_temp.canary('email')],
        'Wohnt ' || pg_temp.canary('street') || ', ' || pg_temp.canary('sentence'), pg_temp.canary('ip')::inet,
        day, day, day
    FROM (SELECT timestamptz '2026-02-01 08:00+00' AS day) deleted;

UPDATE students SET contact_email = pg_temp.canary('email'), health_notes = pg_temp.canary('sentence'),
        last_name = pg_temp.canary('last_name'), birth_place = pg_temp.canary('city'), insurance_number = pg_temp.canary('insurance_number')
    WHERE student_number = 2;
UPDATE messages SET sender_email = pg_temp.canary('email'), subject = 'Von ' || pg_temp.canary('name'),
        body = E'Mein Konto:\t' || pg_temp.canary('iban') || E'\n' || pg_temp.canary('sentence') || ' ' || pg_temp.canary('phone'),
        sender_ip = pg_temp.canary('ip')::inet
    WHERE id = 3;
UPDATE parental_letters SET body_html = '<p title="' || pg_temp.canary('name') || '">' || pg_temp.canary('sentence') || '</p>',
        recipients = recipients || pg_temp.canary('email'), title = 'Brief an ' || pg_temp.canary('name'),
        payload = jsonb_set(jsonb_set(jsonb_set(payload, '{contact,email}', to_jsonb(pg_temp.canary('email'))),
            '{contact,phones,1}', to_jsonb(pg_temp.canary('phone'))), '{answers,0,name}', to_jsonb(pg_temp.canary('name')))
    WHERE id = 2;
UPDATE attachments SET content = made, size_bytes = octet_length(made), sha256 = encode(sha256(made), 'hex'),
        file_name = 'Ausweis.txt', mime_type = 'text/plain'
    FROM (SELECT convert_to(pg_temp.canary('name') || E'\n' || pg_temp.canary('sentence'), 'UTF8') AS made) canary
    WHERE id = md5('attachment3')::uuid;
UPDATE calendar_events SET title = 'Gespräch mit ' || pg_temp.canary('name'), contact = pg_temp.canary('email') WHERE id = 2;
UPDATE settings SET value = jsonb_set(value, '{password}', to_jsonb(pg_temp.canary('secret'))) WHERE key = 'smtp';
UPDATE notices SET text = pg_temp.canary('sentence') WHERE headline = 'Aushang 2';
UPDATE emergency_notices SET hotline = pg_temp.canary('phone'), seen_by = ARRAY[pg_temp.canary('name')] WHERE headline = 'Achtung 2';
UPDATE "Förderverein" SET "Name" = pg_temp.canary('name'), "Straße" = pg_temp.canary('street'), "E-Mail" = pg_temp.canary('email'),
        "Bemerkung ""intern""" = pg_temp.canary('sentence')
    WHERE "Mitglied-Nr" = 7002;
UPDATE billing.invoices SET billing_address = pg_temp.canary('name') || E'\n' || pg_temp.canary('street'),
        purpose = 'Für ' || pg_temp.canary('name')
    WHERE number = 'R-2';
UPDATE billing.payments SET payer_name = pg_temp.canary('name'), payer_iban = pg_temp.canary('iban'), reference = pg_temp.canary('sentence')
    WHERE invoice_id = 2;
INSERT INTO login_sessions
    VALUES (repeat('canary00', 8), 2, pg_temp.canary('ip')::inet, NULL, pg_temp.canary('name'), '2026-03-01', '2027-03-01');
INSERT INTO mail_queue (to_email, subject, body, queued_at)
    VALUES (pg_temp.canary('email'), pg_temp.canary('name'), pg_temp.canary('sentence'), '2026-03-01 08:00+00');
-- One in every partition, the one in another schema included.
INSERT INTO audit_events (at, actor_id, action, detail, ip)
    SELECT day, 2, 'edit', jsonb_build_object('email', pg_temp.canary('email'), 'was', jsonb_build_array(pg_temp.canary('name'))),
        pg_temp.canary('ip')::inet
    FROM unnest('{2019-05-05 05:05+00, 2024-05-05 05:05+00, 2025-05-05 05:05+00, 2026-02-02 05:05+00}'::timestamptz[]) day;
INSERT INTO "ImportExportAudit" ("Direction", "StartedAt", "Status", "SourceHost", "RequestedById", "ErrorMessage")
    VALUES ('export', '2026-03-01 20:00+00', 'done', 'schulportal.example', 1, 'requested by ' || pg_temp.canary('email'));
