-- Queries of an application, in twos parted by a blank line: the same query with other columns, filters, joins or order.
-- Several twos read the same tables, so that a name in common is not enough to find the right one.

SELECT o.id, o.total FROM orders o WHERE o.customer_id = 1
SELECT o.id, o.total, o.currency FROM orders o WHERE o.customer_id = 1 AND o.state = 'open'

SELECT count(*) FROM orders WHERE placed_at > now() - interval '1 day'
SELECT count(*), max(placed_at) FROM orders WHERE placed_at > now() - interval '7 days' AND shipped

SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 1
SELECT o.id, c.name, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.number = 'a'

UPDATE orders SET state = 'paid', paid_at = now() WHERE id = 1
UPDATE orders SET state = 'sent', paid_at = now(), sent_at = now() WHERE id = 1 AND state = 'paid'

INSERT INTO orders (customer_id, total, currency) VALUES (1, 2, 'EUR')
INSERT INTO orders (customer_id, total, currency, note) VALUES (1, 2, 'EUR', 'x') RETURNING id

DELETE FROM orders WHERE state = 'cart' AND touched_at < now() - interval '30 days'
DELETE FROM orders WHERE state = 'cart' AND touched_at < now() - interval '90 days' AND customer_id IS NULL

SELECT id, email FROM customers WHERE email = 'a@b.c'
SELECT id, email, name, locale FROM customers WHERE email = 'a@b.c' AND NOT deleted

SELECT id, name FROM customers ORDER BY created_at DESC LIMIT 20
SELECT id, name, city FROM customers WHERE country = 'DE' ORDER BY created_at DESC LIMIT 50 OFFSET 100

UPDATE customers SET last_login = now() WHERE id = 1
UPDATE customers SET last_login = now(), logins = logins + 1 WHERE id = 1 RETURNING logins

SELECT country, count(*) FROM customers GROUP BY country
SELECT country, city, count(*) FROM customers WHERE newsletter GROUP BY country, city ORDER BY count(*) DESC

SELECT i.sku, i.quantity, i.price FROM order_items i WHERE i.order_id = 1
SELECT i.sku, i.quantity, i.price, i.discount FROM order_items i WHERE i.order_id IN (1, 2) ORDER BY i.position

SELECT i.sku, sum(i.quantity) FROM order_items i GROUP BY i.sku ORDER BY 2 DESC LIMIT 10
SELECT i.sku, sum(i.quantity), avg(i.price) FROM order_items i WHERE i.returned GROUP BY i.sku HAVING count(*) > 5

INSERT INTO order_items (order_id, sku, quantity, price) VALUES (1, 'a', 1, 2)
INSERT INTO order_items (order_id, sku, quantity, price, position) VALUES (1, 'a', 1, 2, 3) ON CONFLICT DO NOTHING

SELECT p.sku, p.title FROM products p WHERE p.title ILIKE '%x%'
SELECT p.sku, p.title, p.price, p.rating FROM products p WHERE p.title ILIKE '%x%' AND p.category_id = 1

SELECT sku, stock FROM products WHERE stock < reorder_level
SELECT sku, stock, supplier_id FROM products WHERE stock < reorder_level AND NOT discontinued FOR UPDATE

UPDATE products SET stock = stock - 1 WHERE sku = 'a'
UPDATE products SET stock = stock - 1, sold = sold + 1 WHERE sku = 'a' AND stock > 0

SELECT c.title, count(p.sku) FROM categories c LEFT JOIN products p ON p.category_id = c.id GROUP BY c.title
SELECT c.title, c.slug, count(p.sku), min(p.price) FROM categories c LEFT JOIN products p ON p.category_id = c.id WHERE c.visible GROUP BY c.title, c.slug

SELECT r.stars, r.body FROM reviews r WHERE r.sku = 'a' ORDER BY r.helpful DESC LIMIT 5
SELECT r.stars, r.body, r.author FROM reviews r WHERE r.sku = 'a' AND r.stars >= 4 ORDER BY r.helpful DESC LIMIT 20

SELECT sku, avg(stars) FROM reviews GROUP BY sku
SELECT sku, avg(stars), count(*) FROM reviews WHERE verified AND written_at > now() GROUP BY sku

SELECT s.id, s.data FROM sessions s WHERE s.token = 'x'
SELECT s.id, s.data, s.customer_id FROM sessions s WHERE s.token = 'x' AND s.expires_at > now()

DELETE FROM sessions WHERE expires_at < now()
DELETE FROM sessions WHERE expires_at < now() AND customer_id IS NULL LIMIT 1000

SELECT a.street, a.zip, a.city FROM addresses a WHERE a.customer_id = 1 AND a.kind = 'billing'
SELECT a.street, a.zip, a.city, a.country FROM addresses a WHERE a.customer_id = 1 ORDER BY a.used_at DESC LIMIT 1

SELECT p.amount, p.method FROM payments p WHERE p.order_id = 1 AND p.status = 'captured'
SELECT p.amount, p.method, p.reference FROM payments p WHERE p.order_id = 1 AND p.status = 'refunded'

SELECT method, sum(amount) FROM payments WHERE captured_at BETWEEN '2026-01-01' AND '2026-02-01' GROUP BY method
SELECT method, currency, sum(amount) FROM payments WHERE captured_at BETWEEN '2026-01-01' AND '2026-02-01' AND status = 'captured' GROUP BY method, currency

SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.id)
SELECT o.id, o.total FROM orders o WHERE o.total > 0 AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.id AND p.status = 'captured')

WITH daily AS (SELECT date_trunc('day', placed_at) AS day, sum(total) AS revenue FROM orders GROUP BY 1) SELECT day, revenue FROM daily
WITH daily AS (SELECT date_trunc('day', placed_at) AS day, sum(total) AS revenue FROM orders WHERE currency = 'EUR' GROUP BY 1) SELECT day, revenue, lag(revenue) OVER (ORDER BY day) FROM daily

SELECT e.name, e.payload FROM events e WHERE e.id > 1 ORDER BY e.id LIMIT 100
SELECT e.name, e.payload, e.created_at FROM events e WHERE e.id > 1 AND e.topic = 'orders' ORDER BY e.id LIMIT 500

INSERT INTO events (name, payload, created_at) VALUES ('a', '{}', now())
INSERT INTO events (name, payload, created_at, topic, key) VALUES ('a', '{}', now(), 't', 'k')

UPDATE jobs SET locked_by = 'w', locked_at = now() WHERE id = 1 AND locked_by IS NULL
UPDATE jobs SET locked_by = 'w', locked_at = now(), attempts = attempts + 1 WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY priority LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id

SELECT id, kind, payload FROM jobs WHERE run_at < now() AND finished_at IS NULL
SELECT id, kind, payload, attempts FROM jobs WHERE run_at < now() AND finished_at IS NULL AND queue = 'mail'
