-- What had not ended, for what the store knew of it. What is older than that came late, and says nothing about now.
DELETE FROM store.running AS known USING memory.new_running AS new
WHERE known.service = new.service AND known.process = new.process AND known.target = new.target
    AND known.seen_at <= new.seen_at;
INSERT INTO store.running BY NAME
SELECT * FROM memory.new_running ANTI JOIN store.running USING (service, process, target);
