-- Made-up people and what they wrote: the same rows from the same settings, every time. It reads
--   school.scale  how many (1 = 3,000 users)      school.seed  which      school.today  the newest day
-- Nothing is random: every choice is a hash of the row's number.

CREATE FUNCTION pg_temp.n(size integer) RETURNS bigint LANGUAGE sql STABLE
    RETURN greatest(4, round(size * current_setting('school.scale')::numeric));
CREATE FUNCTION pg_temp.h(what text, i bigint, size bigint) RETURNS bigint LANGUAGE sql STABLE
    RETURN (hashtextextended(what || i, current_setting('school.seed')::bigint) & 9223372036854775807) % size;
CREATE FUNCTION pg_temp.today() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN current_setting('school.today')::timestamptz;
CREATE FUNCTION pg_temp.uid(i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN i + i / 10;  -- ids with gaps
CREATE FUNCTION pg_temp.someone(what text, i bigint) RETURNS bigint LANGUAGE sql STABLE
    RETURN pg_temp.uid(1 + pg_temp.h(what, i, pg_temp.n(3000)));
CREATE FUNCTION pg_temp.teacher(what text, i bigint) RETURNS bigint LANGUAGE sql STABLE
    RETURN pg_temp.uid(greatest(1, pg_temp.h(what, i, pg_temp.n(3000) / 10) * 10));
CREATE FUNCTION pg_temp.class(what text, i bigint) RETURNS bigint LANGUAGE sql STABLE
    RETURN 1 + pg_temp.h(what, i, pg_temp.n(48));

CREATE FUNCTION pg_temp.first(i bigint) RETURNS text LANGUAGE sql STABLE RETURN (ARRAY[
    'Anna', 'Lukas', 'Sophie', 'Jakob', 'Jörg', 'Zoë', 'Ayşe', 'Mehmet', 'Łukasz', 'Marie-Thérèse', 'Đorđe', 'Hannah',
    'Felix', 'Valentina', 'Emil', 'Käthe', 'Björn', 'Aino', 'Sinéad', 'Nguyễn', 'Kevin', 'Theresa', 'Ida', 'Oskar',
    'Amélie', 'Konstantin', 'Leni', 'Xaver', 'Yasmin', 'Franz Josef', 'Hans-Peter', 'Annika', 'Ömer', 'Ursula', 'Vera',
    'Paul', 'Noah', 'Mila', 'Ella', 'Tobias', 'Severin', 'Magdalena', 'Bärbel', 'Ruth', 'Sepp', 'Olena', 'Дмитро', '小明'
])[1 + pg_temp.h('first', i, 48)];
CREATE FUNCTION pg_temp.family(what text, i bigint) RETURNS text LANGUAGE sql STABLE RETURN (ARRAY[
    'Huber', 'Gruber', 'Wagner', 'Bauer', 'Pichler', 'Steiner', 'Moser', 'Mayer', 'Hofer', 'Leitner', 'Berger', 'Fuchs',
    'Eder', 'Fischer', 'Schmid', 'Winkler', 'Weber', 'Schwarz', 'Maier', 'Reiter', 'Schneider', 'Mayr', 'Baumgartner',
    'O''Brien', 'Großschädl', 'Müller-Lüdenscheidt', 'von der Straße', 'Yılmaz', 'Öztürk', 'Nowak', 'Dvořák', 'D''Angelo',
    'Şahin', 'Jovanović', 'Kovács', 'Wójcik', 'Nguyễn', 'Saint-Exupéry', 'Ünal', 'Ährenkranz', 'Zwölfpfund', 'Null', 'Test'
])[1 + pg_temp.h(what, i, 43)];
CREATE FUNCTION pg_temp.last(i bigint) RETURNS text LANGUAGE sql STABLE
    RETURN pg_temp.family('last', i) || CASE WHEN i % 9 = 0 THEN '-' || pg_temp.family('second', i) ELSE '' END;
CREATE FUNCTION pg_temp.born(i bigint) RETURNS date LANGUAGE sql STABLE
    RETURN pg_temp.today()::date - (CASE WHEN i % 10 BETWEEN 1 AND 4 THEN 3700 ELSE 11000 END + pg_temp.h('born', i, 2900))::int;
CREATE FUNCTION pg_temp.mail(i bigint) RETURNS text LANGUAGE sql STABLE RETURN
    CASE WHEN i % 11 = 0 THEN 'Familie.' ELSE '' END
    || translate(lower(pg_temp.last(i)), 'äöüßşžčřćóęéıńł'' ', 'aousszcrcoeeinl__') || '.' || i || '@'
    || (ARRAY['gmx.example', 'aon.example', 'posteo.example', 'schule.example'])[1 + pg_temp.h('host', i, 4)];
CREATE FUNCTION pg_temp.street(i bigint) RETURNS text LANGUAGE sql STABLE RETURN (ARRAY[
    'Mariahilfer Straße', 'Am Graben', 'Lindengasse', 'Dr.-Karl-Renner-Ring', 'Kirchenplatz', 'Höhenweg', 'Untere Zeile'
])[1 + pg_temp.h('street', i, 7)] || ' ' || 1 + pg_temp.h('door', i, 180) || CASE WHEN i % 5 = 0 THEN '/3' ELSE '' END;
CREATE FUNCTION pg_temp.iban(what text, i bigint) RETURNS text LANGUAGE sql STABLE
    BEGIN ATOMIC  -- Austrian: 16 digits, and 98 minus the remainder by 97 of digits, country (AT = 1029) and 00
        SELECT 'AT' || lpad((98 - mod((b || '102900')::numeric, 97))::text, 2, '0') || b
        FROM (SELECT '20111' || lpad(pg_temp.h(what, i, 99999999999)::text, 11, '0') AS b) account;
    END;
CREATE FUNCTION pg_temp.bcrypt(i bigint) RETURNS text LANGUAGE sql STABLE  -- the form of one; no password is behind it
    RETURN '$2y$10$' || left(translate(encode(sha256(('p' || i || current_setting('school.seed'))::bytea), 'base64')
        || md5(i::text), '+=', './'), 53);
CREATE FUNCTION pg_temp.phone(what text, i bigint) RETURNS text LANGUAGE sql STABLE
    RETURN '+43 6' || 50 + pg_temp.h(what, i, 49) || ' ' || 1000000 + pg_temp.h(what || 'x', i, 8999999);
CREATE FUNCTION pg_temp.words(what text, i bigint) RETURNS text LANGUAGE sql STABLE RETURN (ARRAY[
    'bitte rufen Sie mich zurück', E'heute fällt Turnen aus\n\nLG', 'das Geld liegt im Kuvert', E'Pfad: C:\\Eltern\\neu',
    'er hat „Schnupfen“ und 38,4 °C', E'Tab\tund\tTab', 'sie sagte: "nein"', '🙂👍🏽', '\N', 'null', '[1, "zwei", null]',
    'Treffpunkt um 8 Uhr vor dem Museum', 'danke für die schöne Zeit', '100 % & <b>fett</b>', E'Zeile eins\r\nZeile zwei'
])[1 + pg_temp.h(what, i, 15)];

INSERT INTO classes (name, school_year, room)
    SELECT 5 + k % 8 || chr(97 + (k / 8 % 6)::int), extract(year FROM pg_temp.today())::int - k / 48, 100 + k % 60
    FROM generate_series(0, pg_temp.n(48) - 1) k;

INSERT INTO users (id, email, username, role, title, first_name, last_name, phone, mobile, street, postcode, city, country,
        birth_date, password_hash, totp_seed, api_key, iban, languages, other_emails, home_class, notes, last_login_at,
        last_login_ip, created_at, updated_at, deleted_at)
    SELECT pg_temp.uid(i), pg_temp.mail(i), 'u' || i || left(lower(pg_temp.first(i)), 3),
        CASE WHEN i % 100 IN (1, 0) THEN 'admin' WHEN i % 100 = 50 THEN 'secretary' WHEN i % 10 = 0 THEN 'teacher'
            WHEN i % 10 <= 4 THEN 'student' ELSE 'guardian' END::user_role,
        CASE WHEN i % 17 = 0 THEN 'Mag.' ELSE '' END, pg_temp.first(i), pg_temp.last(i),
        CASE WHEN i % 3 > 0 THEN '01/' || 2000000 + pg_temp.h('phone', i, 7999999) WHEN i % 2 = 0 THEN '' END,
        CASE WHEN i % 4 > 0 THEN pg_temp.phone('mobile', i) END, pg_temp.street(i),
        CASE WHEN i % 8 > 0 THEN (1010 + pg_temp.h('code', i, 8900))::text END, 'Wien', CASE WHEN i % 9 = 0 THEN 'DE' ELSE 'AT' END,
        pg_temp.born(i), pg_temp.bcrypt(i), CASE WHEN i % 10 = 0 THEN decode(md5('totp' || i), 'hex') END,
        CASE WHEN i % 25 = 0 THEN 'sk_live_' || md5('key' || i) END, CASE WHEN i % 2 = 0 THEN pg_temp.iban('iban', i) END,
        CASE WHEN i % 6 = 0 THEN '{de,tr}' WHEN i % 7 = 0 THEN '{}' ELSE '{de}' END::text[],
        CASE WHEN i % 12 = 0 THEN ARRAY['privat' || i || '@post.example', NULL, 'büro,"' || i || '"@post.example'] END,
        CASE WHEN i % 10 = 0 THEN pg_temp.class('home', i) END,
        CASE WHEN i % 15 = 0 THEN pg_temp.last(i) || ': ' || pg_temp.words('notes', i) END,
        pg_temp.today() - pg_temp.h('login', i, 5000000) * interval '1 second', ('10.1.' || i % 200 || '.' || i % 250)::inet,
        pg_temp.today() - pg_temp.h('made', i, 1500) * interval '1 day', pg_temp.today() - interval '1 day',
        CASE WHEN i % 27 = 0 THEN pg_temp.today() - pg_temp.h('gone', i, 300) * interval '1 day' END
    FROM generate_series(1, pg_temp.n(3000)) i;

UPDATE classes SET head_teacher = pg_temp.teacher('head', id) WHERE id % 7 > 0;

INSERT INTO students
    SELECT 'S90' || 100 + (i % 3), i, pg_temp.uid(i), pg_temp.class('class', i), pg_temp.first(i), pg_temp.last(i),
        pg_temp.born(i), CASE WHEN i % 3 = 0 THEN 'Graz' END, lpad(pg_temp.h('sv', i, 9999999999)::text, 10, '0'),
        CASE WHEN i % 2 = 0 THEN pg_temp.mail(i + 4) END,
        CASE WHEN i % 20 = 1 THEN 'Allergie gegen Nüsse; Arzt: Dr. ' || pg_temp.family('doctor', i) END,
        CASE WHEN i % 4 = 0 THEN 'röm.-kath.' END, pg_temp.today()::date - 900, CASE WHEN i % 31 = 0 THEN pg_temp.today()::date END
    FROM generate_series(1, pg_temp.n(3000)) i WHERE i % 10 BETWEEN 1 AND 4;
INSERT INTO student_guardians
    SELECT school_code, student_number, pg_temp.uid(5 + (student_number + k) / 10 * 10 % (pg_temp.n(3000) - 4) + k),
        (ARRAY['Mutter', 'Vater'])[1 + k], k = 0
    FROM students, generate_series(0, 1) k WHERE student_number + 20 < pg_temp.n(3000)
    ON CONFLICT DO NOTHING;
INSERT INTO lessons (class_id, teacher_id, subject, weekday, starts, duration, weight)
    SELECT c.id, pg_temp.teacher('lesson', c.id * 40 + k), (ARRAY['Deutsch', 'Mathematik', 'Bewegung & Sport', 'Englisch'])[1 + k % 4],
        1 + k / 5, time '08:00' + k % 5 * interval '55 minutes', CASE WHEN k % 4 = 2 THEN '100 minutes' ELSE '50 minutes' END::interval, 0.1 * k
    FROM classes c, generate_series(0, 24) k;

INSERT INTO messages (thread_id, sender_id, recipient_id, sender_email, subject, body, sent_at, read_at, sender_ip)
    SELECT CASE WHEN i % 3 = 0 AND i > 10 THEN i - 1 - pg_temp.h('thread', i, 9) END, u.id, pg_temp.someone('to', i), u.email,
        'Betreff ' || u.last_name || ': ' || left(pg_temp.words('subject', i), 60),
        'Liebe Frau ' || pg_temp.family('dear', i) || E',\n' || pg_temp.words('a', i) || ', ' || pg_temp.words('b', i)
            || E'.\n' || repeat(pg_temp.words('c', i) || ' ', (i % 7)::int) || u.display_name,
        pg_temp.today() - i * interval '11 minutes', CASE WHEN i % 3 > 0 THEN pg_temp.today() - i * interval '10 minutes' END,
        CASE WHEN i % 9 = 0 THEN ('2001:db8::' || to_hex(i % 65000))::inet ELSE u.last_login_ip END
    FROM generate_series(1, pg_temp.n(20000)) i JOIN users u ON u.id = pg_temp.someone('from', i);

INSERT INTO parental_letters (class_id, author_id, title, body_html, payload, recipients, status, sent_at)
    SELECT pg_temp.class('letter', i), u.id, 'Elternbrief ' || i,
        '<p>Liebe Eltern,</p><p>' || replace(pg_temp.words('letter', i), '&', '&amp;') || '</p><p>' || u.display_name || '</p>',
        jsonb_build_object(
            'contact', jsonb_build_object('email', u.email, 'name', u.display_name, 'phones', jsonb_build_array(u.mobile, '01/58801')),
            'answers', (SELECT jsonb_agg(jsonb_build_object('name', pg_temp.first(i + k) || ' ' || pg_temp.last(i + k),
                'email', pg_temp.mail(i + k), 'yes', k % 2 = 0, 'weight', 0.10 * k)) FROM generate_series(0, i % 4) k),
            'meta', jsonb_build_object('pages', 1 + i % 3, 'template', 'standard', 'big', 9007199254740993)),
        ARRAY[u.email::text, pg_temp.mail(i + 7), NULL], (ARRAY['draft', 'sent', 'withdrawn'])[1 + i % 3]::letter_status,
        CASE WHEN i % 3 > 0 THEN pg_temp.today() - i * interval '6 hours' END
    FROM generate_series(1, pg_temp.n(400)) i JOIN users u ON u.id = pg_temp.teacher('author', i);

INSERT INTO attachments
    SELECT md5('attachment' || i)::uuid, CASE WHEN i % 4 = 0 THEN 1 + pg_temp.h('letter', i, pg_temp.n(400)) END,
        CASE WHEN i % 4 > 0 THEN 1 + pg_temp.h('message', i, pg_temp.n(20000)) END,
        kind[1] || ' ' || i || kind[2], kind[3], octet_length(content), encode(sha256(content), 'hex'),
        CASE WHEN i % 12 > 0 THEN content END, pg_temp.today() - i * interval '5 hours'
    FROM generate_series(1, pg_temp.n(300)) i,
        LATERAL (SELECT (ARRAY[['Foto', '.png', 'image/png'], ['Zeugnis', '.pdf', 'application/pdf'], ['Bild', '.JPG', 'image/jpeg'],
            ['Notiz', '.txt', 'text/plain'], ['Ordner', '.zip', 'application/zip']])[1 + i % 5 : 1 + i % 5][1:3] AS one) chosen,
        LATERAL (SELECT ARRAY(SELECT unnest(one)) AS kind) named,
        LATERAL (SELECT string_agg(sha256(('content' || i || '/' || k)::bytea), ''::bytea) AS content
            FROM generate_series(1, 16 + i % 200) k) made;

INSERT INTO calendar_events (class_id, organizer_id, title, room, during)
    SELECT pg_temp.class('event', i), pg_temp.teacher('event', i), 'Gespräch Familie ' || pg_temp.last(i), 1 + i % 20,
        tstzrange(pg_temp.today() + i / 20 * interval '90 minutes', pg_temp.today() + (i / 20 * 90 + 60) * interval '1 minute')
    FROM generate_series(1, pg_temp.n(500)) i;
INSERT INTO login_sessions
    SELECT encode(sha256(('session' || i)::bytea), 'hex'), pg_temp.someone('session', i), ('192.168.' || i % 256 || '.7')::inet,
        ('192.168.' || i % 256 || '.0/24')::cidr, 'Mozilla/5.0', pg_temp.today() - i * interval '1 minute', pg_temp.today() + interval '1 day'
    FROM generate_series(1, pg_temp.n(500)) i;
INSERT INTO settings (key, value, updated_by) VALUES
    ('smtp', '{"host": "mail.schulportal.example", "port": 587, "user": "portal", "password": "Kreide!42"}', 1),
    ('payments', '{"provider": "bank", "api_key": "pk_live_7d0f5b", "fee": 0.35}', 1),
    ('school', '{"name": "BG/BRG Musterstadt", "head": {"name": "Dir. Maria Gruber", "email": "direktion@schulportal.example"}}', 1),
    ('banner', 'null', NULL);
INSERT INTO audit_events (at, actor_id, action, detail, ip)
    SELECT pg_temp.today() - i * interval '3 hours', pg_temp.someone('actor', i), (ARRAY['login', 'export', 'edit'])[1 + i % 3],
        jsonb_build_object('email', pg_temp.mail(i), 'target', i, 'agent', 'Mozilla/5.0'), '10.0.0.1'::inet + i
    FROM generate_series(1, pg_temp.n(6000)) i;
INSERT INTO notices (author_id, headline, text, posted_at)
    SELECT pg_temp.teacher('notice', i), 'Aushang ' || i, pg_temp.words('notice', i), pg_temp.today() - i * interval '1 day'
    FROM generate_series(1, pg_temp.n(60)) i;
INSERT INTO emergency_notices (author_id, headline, text, posted_at, hotline, seen_by)
    SELECT pg_temp.teacher('alarm', i), 'Achtung ' || i, 'Sturm. ' || pg_temp.last(i) || ' anrufen', pg_temp.today() - i * interval '1 day',
        pg_temp.phone('hotline', i), ARRAY[pg_temp.first(i) || ' ' || pg_temp.last(i), NULL, '']
    FROM generate_series(1, pg_temp.n(12)) i;
INSERT INTO "Förderverein"
    SELECT 7000 + i, pg_temp.first(i) || ' ' || pg_temp.last(i), CASE WHEN i % 5 > 0 THEN 'verein' || pg_temp.mail(i) END,
        pg_temp.street(i), 20 + i % 7 * 2.5, CASE WHEN i % 3 = 0 THEN pg_temp.words('verein', i) END
    FROM generate_series(1, pg_temp.n(150)) i;

INSERT INTO billing.invoices (number, user_id, billing_address, purpose, amount, issued_on, paid_at)
    SELECT 'R-' || i, u.id, u.display_name || E'\n' || u.street, 'Mittagessen ' || u.last_name, 10 + i % 5000 / 7.0,
        (pg_temp.today() - i * interval '2 hours')::date, CASE WHEN i % 5 > 0 THEN pg_temp.today() - i * interval '1 hour' END
    FROM generate_series(1, pg_temp.n(2000)) i JOIN users u ON u.id = pg_temp.someone('bill', i);
INSERT INTO billing.payments
    SELECT v.id, 1, u.id, u.display_name, coalesce(u.iban, pg_temp.iban('payer', v.id)), CASE WHEN v.id % 3 > 0 THEN 'Danke, ' || u.first_name END,
        v.amount, v.paid_at::date
    FROM billing.invoices v JOIN users u ON u.id = v.user_id WHERE v.paid_at IS NOT NULL;

-- The ids were given, not drawn.
SELECT setval('users_id_seq', max(id)) FROM users;
