-- What comes after the rows: foreign keys, views, triggers, and texts outside the rows that refer to people.

-- A sequence is ahead of its rows, as after deletions.
SELECT setval('users_id_seq', max(id) + 17) FROM users;

-- A cycle: a class has a head teacher, a user has a home class.
ALTER TABLE users ADD FOREIGN KEY (home_class) REFERENCES classes DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE classes ADD FOREIGN KEY (head_teacher) REFERENCES users ON DELETE SET NULL;

ALTER TABLE students ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE students ADD FOREIGN KEY (class_id) REFERENCES classes;
ALTER TABLE student_guardians
    ADD FOREIGN KEY (school_code, student_number) REFERENCES students ON DELETE CASCADE,
    ADD FOREIGN KEY (guardian_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE lessons ADD FOREIGN KEY (class_id) REFERENCES classes, ADD FOREIGN KEY (teacher_id) REFERENCES users;
ALTER TABLE messages
    ADD FOREIGN KEY (thread_id) REFERENCES messages,
    ADD FOREIGN KEY (sender_id) REFERENCES users ON DELETE CASCADE,
    ADD FOREIGN KEY (recipient_id) REFERENCES users;
ALTER TABLE parental_letters
    ADD FOREIGN KEY (class_id) REFERENCES classes,
    ADD FOREIGN KEY (author_id) REFERENCES users;
ALTER TABLE attachments
    ADD FOREIGN KEY (letter_id) REFERENCES parental_letters ON DELETE CASCADE,
    ADD FOREIGN KEY (message_id) REFERENCES messages ON DELETE CASCADE;
ALTER TABLE calendar_events
    ADD FOREIGN KEY (class_id) REFERENCES classes,
    ADD FOREIGN KEY (organizer_id) REFERENCES users;
ALTER TABLE login_sessions ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE settings ADD FOREIGN KEY (updated_by) REFERENCES users;
ALTER TABLE audit_events ADD FOREIGN KEY (actor_id) REFERENCES users;
ALTER TABLE notices ADD FOREIGN KEY (author_id) REFERENCES users;
ALTER TABLE "ImportExportAudit" ADD FOREIGN KEY ("RequestedById") REFERENCES users;
ALTER TABLE billing.invoices ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE billing.payments
    ADD FOREIGN KEY (invoice_id) REFERENCES billing.invoices,
    ADD FOREIGN KEY (payer_id) REFERENCES users NOT VALID;

CREATE INDEX messages_recipient_idx ON messages (recipient_id, sent_at DESC);
CREATE INDEX parental_letters_payload_idx ON parental_letters USING gin (payload jsonb_path_ops);
CREATE INDEX audit_events_at_idx ON audit_events (at);

CREATE VIEW active_users AS
    SELECT id, email, display_name, role FROM users WHERE deleted_at IS NULL AND email <> 'test.huber@schulportal.example';

CREATE MATERIALIZED VIEW class_sizes AS
    SELECT c.id, c.name, c.school_year, count(s.*) AS students
    FROM classes c LEFT JOIN students s ON s.class_id = c.id GROUP BY c.id;
CREATE UNIQUE INDEX class_sizes_key ON class_sizes (id);

-- A copy of personal data that is no table: it has to be made anew after a load.
CREATE MATERIALIZED VIEW teacher_directory AS
    SELECT id, display_name, email, phone FROM users WHERE role = 'teacher' AND deleted_at IS NULL;

CREATE FUNCTION queue_mail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN  -- asked for by Franz Huber, franz.huber@schulportal.example
    INSERT INTO mail_queue (to_email, subject, body)
        SELECT email, NEW.subject, left(NEW.body, 200) FROM users WHERE id = NEW.recipient_id;
    PERFORM pg_notify('mail', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER messages_send_mail AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION queue_mail();

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER users_touch BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();

CREATE FUNCTION record_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_events (at, action, detail) VALUES (now(), 'user-deleted', jsonb_build_object('email', OLD.email));
    RETURN NULL;
END $$;
CREATE TRIGGER users_record_deletion AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION record_deletion();

COMMENT ON TABLE users IS 'Konten. Fragen an Franz Huber, franz.huber@schulportal.example, +43 660 5550123';
COMMENT ON COLUMN users.notes IS 'Interne Notizen, z. B. „Frau Maria Gruber nur vormittags anrufen“';
COMMENT ON COLUMN students.insurance_number IS 'SV-Nummer, zehnstellig';
COMMENT ON COLUMN "Förderverein"."Bemerkung ""intern""" IS 'Freitext der Kassierin';
COMMENT ON TABLE "ImportExportAudit" IS 'Eigene Geschichte dieser Instanz';
