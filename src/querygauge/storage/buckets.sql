-- A duration of bucket k that is as far, relatively, from both of its ends; exact at the first and the last rank.
CREATE OR REPLACE MACRO bucket_ms(k, scale, q, executions, min_ms, max_ms) AS
CASE greatest(1, ceil(q * executions))
    WHEN executions THEN max_ms
    WHEN 1 THEN min_ms
    ELSE least(max_ms, greatest(min_ms, 2e3 * pow(2, k / pow(2, scale)) / (1 + pow(2, 1 / pow(2, scale)))))
END;
