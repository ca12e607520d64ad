-- A batch is ONE statement, composed of the sections that it needs. Each section is one or more
-- common table expressions that read the fence first, so that without it nothing is changed, and
-- NAME.check is what its counts must satisfy; if one does not, `batch_refuse` raises and the whole
-- statement is undone. Sections run in the order in which they read each other.

-- name: batch_fence
-- The runtime's own row: its lock orders this batch before or after a takeover, for good.
fence AS (
    UPDATE runtime SET seq = seq + 1, beat = beat + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING seq
)

-- name: batch_touch
-- The fence of a transaction that is not a batch: moves the beat on, not the sequence.
fence AS (
    UPDATE runtime SET beat = beat + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING seq
)

-- name: batch_tasks
-- Task instances move on, each only from the state that the batch expects. A key that comes twice
-- is updated once, which the count then shows.
tasks AS (
    UPDATE task_instance ti
    SET state = u.state::task_state, try_number = u.try_number, max_tries = u.max_tries, lost_count = u.lost_count,
        queued_at = u.queued_at, started_at = u.started_at, ended_at = u.ended_at, due_at = u.due_at,
        attempt = u.attempt
    FROM fence, unnest(
        :t_run::bigint[], :t_task::text[], :t_map::integer[], :t_expected::text[], :t_state::text[],
        :t_try::integer[], :t_max::integer[], :t_lost::integer[], :t_queued::timestamptz[],
        :t_started::timestamptz[], :t_ended::timestamptz[], :t_due::timestamptz[], :t_attempt::bytea[]
    ) AS u(run_id, task_id, map_index, expected, state, try_number, max_tries, lost_count, queued_at, started_at,
           ended_at, due_at, attempt)
    WHERE ti.run_id = u.run_id AND ti.task_id = u.task_id AND ti.map_index = u.map_index
      AND ti.state = u.expected::task_state
    RETURNING 1
)

-- name: batch_tasks.check
WHEN (SELECT count(*) FROM tasks) <> cardinality(:t_run::bigint[]) THEN batch_refuse('task instances')

-- name: batch_dropped
-- Rows of mapped tasks go: the task's own row when it is expanded (which has to be as expected), instances
-- that are not wanted.
dropped AS (
    DELETE FROM task_instance ti USING fence, unnest(
        :p_run::bigint[], :p_task::text[], :p_low::integer[], :p_high::integer[], :p_expected::text[]
    ) AS u(run_id, task_id, low, high, expected)
    WHERE ti.run_id = u.run_id AND ti.task_id = u.task_id AND ti.map_index BETWEEN u.low AND u.high
      AND (u.expected IS NULL OR ti.state = u.expected::task_state)
    RETURNING u.expected
)

-- name: batch_dropped.check
WHEN (SELECT count(expected) FROM dropped) <> cardinality(array_remove(:p_expected::text[], NULL))
    THEN batch_refuse('task instances')

-- name: batch_spread
-- Many instances of mapped tasks, such as are not there yet.
spread AS (
    INSERT INTO task_instance (run_id, task_id, map_index, max_tries)
    SELECT u.run_id, u.task_id, i, u.max_tries
    FROM fence, unnest(:s_run::bigint[], :s_task::text[], :s_low::integer[], :s_high::integer[], :s_max::integer[])
        AS u(run_id, task_id, low, high, max_tries), generate_series(u.low, u.high) AS i
    ON CONFLICT DO NOTHING
)

-- name: batch_made
-- Instances of mapped tasks begin to be.
made AS (
    INSERT INTO task_instance (run_id, task_id, map_index, state, try_number, max_tries, lost_count, queued_at,
                               started_at, ended_at, due_at, attempt)
    SELECT u.run_id, u.task_id, u.map_index, u.state::task_state, u.try_number, u.max_tries, u.lost_count,
           u.queued_at, u.started_at, u.ended_at, u.due_at, u.attempt
    FROM fence, unnest(
        :n_run::bigint[], :n_task::text[], :n_map::integer[], :n_state::text[],
        :n_try::integer[], :n_max::integer[], :n_lost::integer[], :n_queued::timestamptz[],
        :n_started::timestamptz[], :n_ended::timestamptz[], :n_due::timestamptz[], :n_attempt::bytea[]
    ) AS u(run_id, task_id, map_index, state, try_number, max_tries, lost_count, queued_at, started_at, ended_at,
           due_at, attempt)
    {after}
    ON CONFLICT (run_id, task_id, map_index) DO UPDATE
    SET state = excluded.state, try_number = excluded.try_number, max_tries = excluded.max_tries,
        lost_count = excluded.lost_count, queued_at = excluded.queued_at, started_at = excluded.started_at,
        ended_at = excluded.ended_at, due_at = excluded.due_at, attempt = excluded.attempt
)

-- name: batch_made_after
-- Where rows go in this batch, they go first.
WHERE (SELECT count(*) FROM dropped) >= 0

-- name: batch_lengths
-- How long values are over which others are mapped.
measured AS (
    INSERT INTO task_length (run_id, task_id, map_index, key, length)
    SELECT u.* FROM fence, unnest(
        :g_run::bigint[], :g_task::text[], :g_map::integer[], :g_key::bytea[], :g_length::integer[]
    ) AS u
    ON CONFLICT (run_id, task_id, map_index, key) DO UPDATE SET length = excluded.length
)

-- name: batch_closed
-- Attempts end: they move from the living to those that are kept.
gone AS (
    DELETE FROM live_attempt l USING fence, unnest(
        :c_run::bigint[], :c_attempt::bytea[], :c_kind::text[], :c_ended::timestamptz[], :c_started::timestamptz[],
        :c_host::bytea[], :c_pid::integer[], :c_detail::bytea[]
    ) AS u(run_id, attempt, kind, ended_at, started_at, hostname, pid, detail)
    WHERE l.run_id = u.run_id AND l.attempt = u.attempt
    RETURNING l.run_id, l.attempt, l.task_id, l.map_index, l.try_number, l.executor, l.pool, l.pool_slots,
              coalesce(u.started_at, l.started_at) AS started_at, l.version_hash, l.bundle_version, u.kind::outcome_kind AS kind,
              u.ended_at, u.hostname, u.pid, u.detail
),
closed AS (
    INSERT INTO attempt (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at,
                         version_hash, bundle_version, kind, ended_at, hostname, pid, detail)
    SELECT * FROM gone
)

-- name: batch_closed.check
WHEN (SELECT count(*) FROM gone) <> cardinality(:c_run::bigint[]) THEN batch_refuse('live attempts')

-- name: batch_opened
-- Attempts begin. Unique keys of `live_attempt` refuse a second one for the same task instance.
opened AS (
    INSERT INTO live_attempt (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at)
    SELECT u.* FROM fence, unnest(
        :o_run::bigint[], :o_attempt::bytea[], :o_task::text[], :o_map::integer[], :o_try::integer[],
        :o_executor::text[], :o_pool::text[], :o_slots::integer[], :o_started::timestamptz[]
    ) AS u
)

-- name: batch_reopened
-- The same where attempts end in this batch too: theirs leave first.
opened AS (
    INSERT INTO live_attempt (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at)
    SELECT u.* FROM fence, unnest(
        :o_run::bigint[], :o_attempt::bytea[], :o_task::text[], :o_map::integer[], :o_try::integer[],
        :o_executor::text[], :o_pool::text[], :o_slots::integer[], :o_started::timestamptz[]
    ) AS u
    WHERE (SELECT count(*) FROM gone) >= 0
)

-- name: batch_brief
-- Attempts that began and ended within the batch: they never were among the living.
brief AS (
    INSERT INTO attempt (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at,
                         kind, ended_at, hostname, pid, detail)
    SELECT u.run_id, u.attempt, u.task_id, u.map_index, u.try_number, u.executor, u.pool, u.pool_slots, u.started_at,
           u.kind::outcome_kind, u.ended_at, u.hostname, u.pid, u.detail
    FROM fence, unnest(
        :b_run::bigint[], :b_attempt::bytea[], :b_task::text[], :b_map::integer[], :b_try::integer[],
        :b_executor::text[], :b_pool::text[], :b_slots::integer[], :b_started::timestamptz[],
        :b_kind::text[], :b_ended::timestamptz[], :b_host::bytea[], :b_pid::integer[], :b_detail::bytea[]
    ) AS u(run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, kind, ended_at,
           hostname, pid, detail)
)

-- name: batch_history
-- Packed lines of task instances' stories.
told AS (
    INSERT INTO history (run_id, task_id, map_index, try_number, story)
    SELECT u.* FROM fence, unnest(
        :h_run::bigint[], :h_task::text[], :h_map::integer[], :h_try::integer[], :h_story::bytea[]
    ) AS u
)

-- name: batch_xcoms_cleared
-- All values of these task instances go; those of back ends of one's own stay until an attempt has purged them,
-- unless the `whole` instance goes.
xcoms_cleared AS (
    DELETE FROM xcom x
    USING fence, unnest(:xc_run::bigint[], :xc_task::text[], :xc_map::integer[], :xc_whole::boolean[])
        AS u(run_id, task_id, map_index, whole)
    WHERE x.run_id = u.run_id AND x.task_id = u.task_id AND x.map_index = u.map_index
      AND (u.whole OR x.codec < 16 OR substr(x.key, 1, 6) = 'query:'::bytea)
    RETURNING 1
)

-- name: batch_xcoms_cleared.check
WHEN (SELECT count(*) FROM xcoms_cleared) < 0 THEN false

-- name: batch_xcoms_deleted
-- Single values go.
xcoms_deleted AS (
    DELETE FROM xcom x USING fence, unnest(:xd_run::bigint[], :xd_task::text[], :xd_map::integer[], :xd_key::bytea[])
        AS u(run_id, task_id, map_index, key)
    WHERE x.run_id = u.run_id AND x.task_id = u.task_id AND x.map_index = u.map_index AND x.key = u.key
)

-- name: batch_blobs
-- Large values, once each.
blobs AS (
    INSERT INTO blob (blob_hash, data, place, size)
    SELECT u.* FROM fence, unnest(:l_hash::bytea[], :l_data::bytea[], :l_place::text[], :l_size::bigint[]) AS u
    ON CONFLICT (blob_hash) DO UPDATE SET at = now()
)

-- name: batch_xcoms
-- Values are set.
xcoms AS (
    INSERT INTO xcom (run_id, task_id, map_index, key, codec, data, blob_hash, at)
    SELECT u.*, now() FROM fence, unnest(
        :x_run::bigint[], :x_task::text[], :x_map::integer[], :x_key::bytea[], :x_codec::smallint[],
        :x_data::bytea[], :x_blob::bytea[]
    ) AS u
    {after}
    ON CONFLICT (run_id, task_id, map_index, key) DO UPDATE
    SET codec = excluded.codec, data = excluded.data, blob_hash = excluded.blob_hash, at = excluded.at
)

-- name: batch_xcoms_after
-- Where values of these task instances are cleared in this batch, that comes first.
WHERE (SELECT count(*) FROM xcoms_cleared) >= 0

-- name: batch_waits_gone
-- Waits that are over and done with.
waits_gone AS (
    DELETE FROM task_wait w USING fence, unnest(:wd_run::bigint[], :wd_task::text[], :wd_map::integer[], :wd_key::bytea[])
        AS u(run_id, task_id, map_index, key)
    WHERE w.run_id = u.run_id AND w.task_id = u.task_id AND w.map_index = u.map_index AND w.key = u.key
)

-- name: batch_waits
-- Waits begin, or are answered.
waits AS (
    INSERT INTO task_wait (run_id, task_id, map_index, key, origin, kind, method, due, deadline, undo, sealed, body,
                           answered, timed_out, event_codec, event, error)
    SELECT u.* FROM fence, unnest(
        :w_run::bigint[], :w_task::text[], :w_map::integer[], :w_key::bytea[], :w_origin::bytea[], :w_kind::bytea[],
        :w_method::bytea[], :w_due::timestamptz[], :w_deadline::timestamptz[], :w_undo::boolean[], :w_sealed::boolean[], :w_body::bytea[],
        :w_answered::boolean[], :w_timed_out::boolean[], :w_codec::smallint[], :w_event::bytea[], :w_error::bytea[]
    ) AS u
    ON CONFLICT (run_id, task_id, map_index, key) DO UPDATE
    SET origin = excluded.origin, kind = excluded.kind, method = excluded.method, due = excluded.due,
        deadline = excluded.deadline, undo = excluded.undo, sealed = excluded.sealed, body = excluded.body, answered = excluded.answered,
        timed_out = excluded.timed_out, event_codec = excluded.event_codec, event = excluded.event,
        error = excluded.error
)

-- name: batch_steps_cleared
-- All steps of these task instances go.
steps_cleared AS (
    DELETE FROM task_step s USING fence, unnest(:sc_run::bigint[], :sc_task::text[], :sc_map::integer[])
        AS u(run_id, task_id, map_index)
    WHERE s.run_id = u.run_id AND s.task_id = u.task_id AND s.map_index = u.map_index
)

-- name: batch_steps
-- Steps are begun, or have a result.
steps AS (
    INSERT INTO task_step (run_id, task_id, map_index, key, digest, codec, data, at)
    SELECT u.*, now() FROM fence, unnest(
        :st_run::bigint[], :st_task::text[], :st_map::integer[], :st_key::bytea[], :st_digest::bytea[],
        :st_codec::smallint[], :st_data::bytea[]
    ) AS u
    ON CONFLICT (run_id, task_id, map_index, key) DO UPDATE
    SET digest = excluded.digest, codec = excluded.codec, data = excluded.data, at = excluded.at
)

-- name: batch_runs
-- Runs move on, each only from the state that the batch expects.
runs AS (
    UPDATE dag_run r
    SET state = u.state::run_state, started_at = u.started_at, ended_at = u.ended_at, counts = u.counts
    FROM fence, unnest(
        :r_run::bigint[], :r_expected::text[], :r_state::text[], :r_started::timestamptz[], :r_ended::timestamptz[],
        :r_counts::bytea[]
    ) AS u(run_id, expected, state, started_at, ended_at, counts)
    WHERE r.run_id = u.run_id AND r.state = u.expected::run_state
    RETURNING 1
)

-- name: batch_runs.check
WHEN (SELECT count(*) FROM runs) <> cardinality(:r_run::bigint[]) THEN batch_refuse('runs')

-- name: batch_outbox
-- What must happen because of this commit.
posted AS (
    INSERT INTO outbox (run_id, dag_id, kind, body)
    SELECT u.* FROM fence, unnest(:u_run::bigint[], :u_dag::text[], :u_kind::text[], :u_body::bytea[]) AS u
)

-- name: batch_assets
-- Assets that tasks have sent events of become known; those that are known keep what they are called.
new_assets AS (
    INSERT INTO asset (uri, name, group_name, extra)
    SELECT u.* FROM fence, unnest(:as_uri::text[], :as_name::text[], :as_group::text[], :as_extra::bytea[]) AS u
    ON CONFLICT DO NOTHING
)

-- name: batch_asset_aliases
-- Aliases learn which assets were sent through them.
new_aliases AS (
    INSERT INTO asset_alias (name) SELECT DISTINCT u.* FROM fence, unnest(:al_alias::text[]) AS u
    ON CONFLICT DO NOTHING
),
alias_links AS (
    INSERT INTO asset_alias_link (alias, uri)
    SELECT u.* FROM fence, unnest(:al_alias::text[], :al_uri::text[]) AS u
    ON CONFLICT DO NOTHING
)

-- name: batch_asset_events
-- Events of assets, to be routed after the commit.
asset_events AS (
    INSERT INTO asset_event (source_run_id, source_dag_id, source_task_id, source_map_index, at, uri, extra, aliases,
                             partition_key)
    SELECT u.run_id, u.dag_id, u.task_id, u.map_index, u.at, u.uri, u.extra, string_to_array(u.aliases, chr(10)),
           u.partition_key
    FROM fence, unnest(
        :ae_run::bigint[], :ae_dag::text[], :ae_task::text[], :ae_map::integer[], :ae_at::timestamptz[],
        :ae_uri::text[], :ae_extra::bytea[], :ae_aliases::text[], :ae_partition::bytea[]
    ) AS u(run_id, dag_id, task_id, map_index, at, uri, extra, aliases, partition_key)
)

-- name: batch_consumed
-- A new run takes events off its DAG's queue. Those that runs of other keys wait for stay there.
consumed AS (
    DELETE FROM asset_queue q USING made, unnest(:q_event::bigint[]) AS u(event_id)
    WHERE q.dag_id = :dag_id::text AND q.event_id = u.event_id
    RETURNING q.event_id
),
kept AS (
    UPDATE asset_queue q SET served = q.served || :run_key::bytea
    FROM made, unnest(:q_kept::bigint[]) AS u(event_id)
    WHERE q.dag_id = :dag_id::text AND q.event_id = u.event_id AND NOT :run_key::bytea = ANY (q.served)
    RETURNING q.event_id
),
causes AS (
    INSERT INTO run_asset_event (run_id, event_id)
    SELECT :run_id::bigint, event_id FROM consumed UNION ALL SELECT :run_id::bigint, event_id FROM kept
)

-- name: batch_consumed.check
WHEN EXISTS (SELECT FROM made)
 AND ((SELECT count(*) FROM consumed) <> cardinality(:q_event::bigint[])
      OR (SELECT count(*) FROM kept) <> cardinality(:q_kept::bigint[]))
THEN batch_refuse('queued asset events')

-- name: batch_dags
-- Pause switches and schedule cursors of DAGs that this runtime owns.
dags AS (
    UPDATE dag d
    SET is_paused = coalesce(u.is_paused, d.is_paused),
        cursor_set = d.cursor_set OR u.moves,
        last_interval_start = CASE WHEN u.moves THEN u.last_start ELSE d.last_interval_start END,
        last_interval_end = CASE WHEN u.moves THEN u.last_end ELSE d.last_interval_end END,
        next_logical_date = CASE WHEN u.moves THEN u.next_logical ELSE d.next_logical_date END,
        next_interval_start = CASE WHEN u.moves THEN u.next_start ELSE d.next_interval_start END,
        next_interval_end = CASE WHEN u.moves THEN u.next_end ELSE d.next_interval_end END,
        next_run_after = CASE WHEN u.moves THEN u.next_after ELSE d.next_run_after END
    FROM fence, unnest(
        :d_dag::text[], :d_paused::boolean[], :d_moves::boolean[], :d_last_start::timestamptz[],
        :d_last_end::timestamptz[], :d_next_logical::timestamptz[], :d_next_start::timestamptz[],
        :d_next_end::timestamptz[], :d_next_after::timestamptz[]
    ) AS u(dag_id, is_paused, moves, last_start, last_end, next_logical, next_start, next_end, next_after)
    WHERE d.namespace = 'default' AND d.dag_id = u.dag_id AND d.owner = :runtime_id::bigint
    RETURNING 1
)

-- name: batch_dags.check
WHEN (SELECT count(*) FROM dags) <> cardinality(:d_dag::text[]) THEN batch_refuse('DAGs')

-- name: batch_mail
-- Mail is done: its row goes, its reply stays, and a sender in another process hears of it.
mail AS (
    DELETE FROM inbox i USING fence, unnest(:m_id::bigint[], :m_reply::bytea[]) AS u(mail_id, reply)
    WHERE i.mail_id = u.mail_id
    RETURNING i.mail_id, i.sender, u.reply
),
replies AS (
    INSERT INTO inbox_reply (mail_id, reply) SELECT mail_id, reply FROM mail
),
told_others AS (
    SELECT pg_notify(sender, mail_id::text) FROM mail WHERE sender <> :me::text
)

-- name: batch_mail.check
WHEN (SELECT count(*) FROM mail) <> cardinality(:m_id::bigint[]) THEN batch_refuse('mail')
WHEN (SELECT count(*) FROM told_others) < 0 THEN false

-- name: batch_mail.mine
(SELECT array_agg(mail_id) FROM mail WHERE sender = :me::text)

-- name: conflict_tasks
-- Which task instances are not in the state that the batch expects, or come twice.
SELECT u.run_id, format('task %s [%s] is %s, expected %s', u.task_id, u.map_index, coalesce(ti.state::text, 'not there'),
                        u.expected) AS detail
FROM unnest(:t_run::bigint[], :t_task::text[], :t_map::integer[], :t_expected::text[])
    AS u(run_id, task_id, map_index, expected)
LEFT JOIN task_instance ti ON ti.run_id = u.run_id AND ti.task_id = u.task_id AND ti.map_index = u.map_index
WHERE ti.state IS NULL OR ti.state <> u.expected::task_state
UNION ALL
SELECT u.run_id, format('task %s [%s] is changed %s times in one batch', u.task_id, u.map_index, count(*))
FROM unnest(:t_run::bigint[], :t_task::text[], :t_map::integer[]) AS u(run_id, task_id, map_index)
GROUP BY u.run_id, u.task_id, u.map_index HAVING count(*) > 1

-- name: conflict_dropped
-- Which rows of mapped tasks were not there as expected.
SELECT u.run_id, format('task %s [%s] is %s, expected %s', u.task_id, u.low, coalesce(ti.state::text, 'not there'),
                        u.expected) AS detail
FROM unnest(:p_run::bigint[], :p_task::text[], :p_low::integer[], :p_expected::text[])
    AS u(run_id, task_id, low, expected)
LEFT JOIN task_instance ti ON ti.run_id = u.run_id AND ti.task_id = u.task_id AND ti.map_index = u.low
WHERE u.expected IS NOT NULL AND (ti.state IS NULL OR ti.state <> u.expected::task_state)

-- name: conflict_closed
-- Which attempts cannot end: unknown, ended before, or ended twice in this batch.
SELECT u.run_id, format('attempt %s %s', encode(u.attempt, 'hex'),
    CASE WHEN l.attempt IS NULL THEN 'is not live' ELSE 'ends twice in one batch' END) AS detail
FROM (SELECT run_id, attempt, count(*) AS times FROM unnest(:c_run::bigint[], :c_attempt::bytea[]) AS w(run_id, attempt)
      GROUP BY run_id, attempt) AS u
LEFT JOIN live_attempt l ON l.run_id = u.run_id AND l.attempt = u.attempt
WHERE l.attempt IS NULL OR u.times > 1

-- name: conflict_opened
-- Which attempts cannot begin: their id is used, or their task instance has a live attempt already.
SELECT u.run_id, format('task %s [%s] has a live attempt already', u.task_id, u.map_index) AS detail
FROM unnest(:o_run::bigint[], :o_task::text[], :o_map::integer[], :o_attempt::bytea[])
    AS u(run_id, task_id, map_index, attempt)
JOIN live_attempt l ON l.run_id = u.run_id
    AND (l.task_id = u.task_id AND l.map_index = u.map_index OR l.attempt = u.attempt)
WHERE l.attempt <> ALL (:closing::bytea[])
UNION ALL
SELECT u.run_id, format('task %s [%s] gets %s attempts in one batch', u.task_id, u.map_index, count(*))
FROM unnest(:o_run::bigint[], :o_task::text[], :o_map::integer[]) AS u(run_id, task_id, map_index)
GROUP BY u.run_id, u.task_id, u.map_index HAVING count(*) > 1

-- name: conflict_runs
-- Which runs are not in the state that the batch expects.
SELECT u.run_id, format('the run is %s, expected %s', coalesce(r.state::text, 'not there'), u.expected) AS detail
FROM unnest(:r_run::bigint[], :r_expected::text[]) AS u(run_id, expected)
LEFT JOIN dag_run r ON r.run_id = u.run_id
WHERE r.state IS NULL OR r.state <> u.expected::run_state
UNION ALL
SELECT u.run_id, format('the run is changed %s times in one batch', count(*))
FROM unnest(:r_run::bigint[]) AS u(run_id) GROUP BY u.run_id HAVING count(*) > 1

-- name: conflict_dags
-- Which DAGs are not this runtime's.
SELECT u.dag_id, format('DAG %s is %s', u.dag_id,
    CASE WHEN d.dag_id IS NULL THEN 'not there' WHEN d.owner IS NULL THEN 'owned by nobody'
         WHEN d.owner = :runtime_id::bigint THEN 'changed twice in one batch'
         ELSE 'owned by runtime ' || d.owner END) AS detail
FROM (SELECT dag_id, count(*) AS times FROM unnest(:d_dag::text[]) AS w(dag_id) GROUP BY dag_id) AS u
LEFT JOIN dag d ON d.namespace = 'default' AND d.dag_id = u.dag_id
WHERE d.owner IS DISTINCT FROM :runtime_id::bigint OR u.times > 1

-- name: conflict_mail
-- Which mail is no longer in the inbox.
SELECT u.mail_id, format('mail %s is done already', u.mail_id) AS detail
FROM (SELECT mail_id, count(*) AS times FROM unnest(:m_id::bigint[]) AS w(mail_id) GROUP BY mail_id) AS u
LEFT JOIN inbox i ON i.mail_id = u.mail_id WHERE i.mail_id IS NULL OR u.times > 1
