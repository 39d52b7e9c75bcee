-- The journal of nbtasks.
--
-- job        a function or a cell with an id and a version
-- run        one job for one key; it may take several executions
-- execution  one pass through the body
-- task       a keyed step of a run; a task started inside another is its subtask
-- attempt    one call of a task's function
-- path       the keys from the root to a task, joined by '/': fit/AA/train, fit/0, fold[2]
-- reused     a task answered from the journal in the latest execution
-- event      a named occurrence; triggers start runs for it, and it ends waits
-- trigger    an event or a schedule that starts runs of a job automatically
-- status     progress that a run reports under a key while it executes, with its history
-- segment    a write-ahead file of one process in wal/; its rows are merged into this file
--
-- Writing. Every process appends rows to a segment of its own. A process that needs this file
-- merges all segments, in one transaction with the number of bytes merged (`segment.merged`): so
-- each row is merged exactly once, whichever process dies at whatever moment. A row is a complete
-- snapshot. It replaces the row of the same run, or of the same path of a run; of an event or an
-- entry, the row with the greatest changed_us counts. Rows of other tables are only ever added.
-- A segment is removed when this file itself, without DuckDB's log beside it, holds all of it.
-- A run with status RUNNING whose owner is found dead becomes INTERRUPTED, with its tasks.
--
-- Read the views, not the tables: their names and columns stay. Tables hold instants as epoch
-- microseconds (…_us) and values as the codec wrote them. There are no indexes on purpose: rows
-- of a run stand together, and ids sort by time, so DuckDB's zone maps find a run faster.

create table if not exists meta (
    format integer not null          -- NB. a reader refuses a format newer than its own
);

create table if not exists segment (
    name varchar not null,
    merged bigint not null           -- number of its bytes merged into this file
);

create table if not exists run (
    run_id varchar not null,
    job varchar not null,
    name varchar not null,
    version varchar not null,
    key varchar not null,
    status varchar not null check (
        status in ('RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED', 'INVALID')
    ),
    trigger varchar not null,
    parent_run varchar,
    started_us bigint not null,
    finished_us bigint,
    execution_us bigint not null,    -- start of the latest execution
    executions integer not null,
    resume_us bigint,
    payload varchar,
    payload_kind varchar,
    output varchar,
    output_kind varchar,             -- json, tagged, parts, arrow, npy, figure, pickle, hidden, expired
    output_bytes bigint,
    blob varchar,                    -- the file in blobs/ that holds a large output
    error varchar,                   -- JSON: type, module, message, traceback, path, attempts, cause
    source varchar,                  -- text of the cell
    notebook varchar,
    segment varchar,                 -- the segment of the process that executes it
    host varchar,
    pid integer,
    payload_shown varchar,           -- public preview of the payload, if parts of it are hidden
    hidden boolean not null,         -- true if its output is left out of exports
    number integer not null          -- the order in which the runs began, whatever the clock said
);

create table if not exists task (
    run_id varchar not null,
    path varchar not null,
    seq bigint not null,             -- the order in which the tasks of the run first started
    name varchar,
    status varchar not null check (
        status in ('RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED', 'SKIPPED')
    ),
    execution integer not null,      -- the latest execution that reached it
    reused boolean not null,
    started_us bigint,
    finished_us bigint,
    attempt_us bigint,
    due_us bigint,
    attempts integer not null,
    attempt integer not null,
    failures integer not null,
    fatal boolean not null,          -- true if its failure was not caught, so it runs again
    params varchar,
    output varchar,
    output_kind varchar,
    output_bytes bigint,
    blob varchar,
    error varchar,
    fingerprint varchar,             -- of its function when it ran; the source is in table code
    digest varchar,                  -- of its arguments
    stale varchar,                   -- why its recorded output may be out of date
    once boolean not null,           -- true if it is never called again once its outcome is lost
    expires_us bigint,
    done bigint,                     -- progress, of total
    total bigint,
    metrics varchar,                 -- JSON
    properties varchar,              -- JSON
    icon varchar,
    awaits varchar,                  -- JSON: the external answer that it waits for
    given_up_us bigint,              -- if the body itself gave it up and continued: after how long
    done_before bigint,              -- progress as first reported by an attempt that is not the first
    host varchar,                    -- of the latest attempt, if it was called in another process
    pid integer,
    worker varchar,                  -- its address in a cluster
    queued_on varchar,               -- the engine in which it waits for a place, while RUNNING
    sent integer,                    -- number of the attempt whose call a cluster may still hold
    hidden boolean not null          -- true if its output is left out of exports
);

-- The source of task functions, once for each fingerprint in a run.
create table if not exists code (
    run_id varchar not null,
    fingerprint varchar not null,
    source varchar not null          -- JSON
);

-- The Python and the libraries that the pickles of an execution may depend on.
create table if not exists environment (
    run_id varchar not null,
    recorded_us bigint not null,
    python varchar not null,
    modules varchar not null         -- JSON: versions by names
);

-- Changes by hand, with run.set, run.skip, run.reset.
create table if not exists edit (
    run_id varchar not null,
    path varchar not null,
    action varchar not null check (action in ('set', 'skip', 'reset')),
    edited_us bigint not null,
    host varchar,
    pid integer,
    notebook varchar
);

-- Ranges of consecutive tasks that were answered from the journal in the latest execution that
-- reached them: thanks to them, executing a long run again does not rewrite all of its tasks.
-- The view task_now joins them with the tasks.
create table if not exists reuse (
    run_id varchar not null,
    execution integer not null,
    first bigint not null,           -- seq
    last bigint not null
);

-- Attempts that were followed by another one. The latest attempt of a task is in its task row.
create table if not exists attempt (
    run_id varchar not null,
    path varchar not null,
    number integer not null,
    attempt integer not null,
    status varchar not null check (
        status in ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED')
    ),
    started_us bigint,
    finished_us bigint,
    error varchar,
    retry_us bigint,
    host varchar,                    -- as in the task's row
    pid integer,
    worker varchar
);

create table if not exists log (
    run_id varchar not null,
    path varchar not null,           -- empty for the body
    attempt integer not null,
    logged_us bigint not null,
    level varchar not null,
    message varchar not null,
    data varchar
);

-- Displayed output of tasks, attempt by attempt.
create table if not exists display (
    run_id varchar not null,
    path varchar not null,
    attempt integer not null,        -- number among all attempts of the task, from 1
    shown_us bigint not null,
    output varchar,                  -- JSON: data by MIME type, and its metadata
    blob varchar
);

-- Answers from outside to waiting tasks.
create table if not exists answer (
    run_id varchar not null,
    path varchar not null,
    answered_us bigint not null,
    value varchar,
    value_kind varchar,
    origin varchar not null          -- source of the answer
);

-- Wake-ups for runs that may find something new: a run suspended before woken_us is due.
create table if not exists wake (
    run_id varchar not null,
    woken_us bigint not null
);

create table if not exists status (
    run_id varchar not null,
    status varchar not null,         -- key of the status
    number integer not null,         -- number of the snapshot, from 1
    changed_us bigint not null,
    label varchar not null,
    state varchar check (state in ('loading', 'success', 'failure')),
    data varchar                     -- JSON
);

create table if not exists event (
    event_id varchar not null,
    changed_us bigint not null,
    name varchar not null,
    source varchar not null,
    payload varchar,
    payload_kind varchar,
    created_us bigint not null,
    at_us bigint not null,           -- time at which it happens
    deliver_us bigint,
    delivered_us bigint,
    cancelled_us bigint,
    payload_shown varchar            -- public preview of the payload, if parts of it are hidden
);

-- Values stored by name.
create table if not exists entry (
    scope varchar not null,          -- env, job:<id>, run:<id>
    key varchar not null,
    changed_us bigint not null,
    value varchar,
    value_kind varchar,              -- null if the entry was deleted
    blob varchar
);

create type if not exists run_status as enum
    ('RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED', 'INVALID');

create type if not exists task_status as enum
    ('RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED', 'SKIPPED');

create type if not exists attempt_status as enum
    ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELED', 'INTERRUPTED');

create or replace view task_now as
select task.* replace (
    coalesce(reuse.execution, task.execution) as execution,
    reuse.execution is not null or task.reused as reused
)
from task
left join reuse
    on reuse.run_id = task.run_id
    and reuse.execution > task.execution
    and task.seq between reuse.first and reuse.last;

create or replace view runs as
select
    job,
    key,
    status::run_status as status,
    make_timestamptz(started_us) as started_at,
    (case when finished_us < started_us then 0 else finished_us - started_us end) / 1e6 as seconds,
    coalesce(counts.tasks, 0) as tasks,
    coalesce(counts.failed, 0) as failed,
    case when json_valid(error) then error ->> '$.message' end as error_message,
    run.run_id,
    version,
    trigger,
    parent_run,
    executions,
    make_timestamptz(finished_us) as finished_at,
    to_microseconds(case when finished_us < started_us then 0 else finished_us - started_us end) as duration,
    case when json_valid(error) then error ->> '$.type' end as error_type,
    coalesce(payload_shown, case when payload_kind in ('json', 'tagged') then payload end)
        as payload,
    case when output_kind in ('json', 'tagged', 'hidden') then output end as output,
    notebook,
    host,
    pid
from run
left join (
    select run_id, count(*) as tasks, count(*) filter (status = 'FAILED') as failed
    from task group by run_id
) as counts on counts.run_id = run.run_id
order by number desc, started_us desc, run.run_id desc;

create or replace view tasks as
select
    run.job,
    path,
    (case when task.status = 'RUNNING' and queued_on is not null then 'WAITING' else task.status end)::task_status
        as status,
    attempts,
    (case when task.finished_us < task.started_us then 0 else task.finished_us - task.started_us end) / 1e6 as seconds,
    reused and execution = run.executions as reused,
    stale is not null and execution = run.executions as stale,
    case when json_valid(task.error) then task.error ->> '$.message' end as error_message,
    task.run_id,
    case when contains(path, '/') then regexp_replace(path, '/[^/]*$', '') end as parent,
    task.key,
    (length(path) - length(replace(path, '/', '')))::integer as depth,
    coalesce(task.name, task.key) as name,
    make_timestamptz(task.started_us) as started_at,
    make_timestamptz(task.finished_us) as finished_at,
    to_microseconds(case when task.finished_us < task.started_us then 0 else task.finished_us - task.started_us end) as duration,
    case when total > 0 then least(done / total, 1) end as progress,
    params,
    case when task.output_kind in ('json', 'tagged', 'hidden') then task.output end as output,
    task.output_kind,
    task.output_bytes,
    task.host,
    task.pid,
    worker,
    case when json_valid(task.error) then task.error ->> '$.type' end as error_type,
    properties,
    metrics,
    seq
from (
    select
        *,
        -- few keys contain characters that a path escapes, and checking for them is fast
        case when contains(path, '%') then replace(replace(replace(replace(replace(replace(
            split_part(path, '/', -1), '%23', '#'), '%2C', ','), '%5D', ']'), '%5B', '['),
            '%2F', '/'), '%25', '%')
            else split_part(path, '/', -1) end as key
    from task_now
) as task
join run on run.run_id = task.run_id
order by task.run_id, seq;

create or replace view attempts as
select
    made.path,
    made.attempt,
    made.status::attempt_status as status,
    (case when made.finished_us < made.started_us then 0 else made.finished_us - made.started_us end) / 1e6 as seconds,
    case when json_valid(made.error) then made.error ->> '$.message' end as error_message,
    made.run_id,
    make_timestamptz(made.started_us) as started_at,
    make_timestamptz(made.finished_us) as finished_at,
    to_microseconds(case when made.finished_us < made.started_us then 0 else made.finished_us - made.started_us end) as duration,
    case when json_valid(made.error) then made.error ->> '$.type' end as error_type,
    case when json_valid(made.error) then made.error ->> '$.traceback' end as traceback,
    make_timestamptz(made.retry_us) as retry_at,
    made.host,
    made.pid,
    made.worker
from (
    from attempt
    union all by name
    select
        run_id, path, attempts as number, attempt, status,
        attempt_us as started_us, finished_us, error, null::bigint as retry_us, host, pid, worker
    from task
    where attempt > 0 and due_us is null and status not in ('SKIPPED', 'WAITING')
    and (status <> 'RUNNING' or queued_on is null)
) as made
left join task on task.run_id = made.run_id and task.path = made.path
order by made.run_id, task.seq, made.path, made.number;

create or replace view logs as
select
    make_timestamptz(logged_us) as logged_at,
    nullif(path, '') as path,
    level,
    message,
    data,
    run_id,
    attempt
from log
order by run_id, logged_us;

create or replace view due as
select
    run.run_id,
    job,
    (
        select min_by(path, due_us) from task
        where task.run_id = run.run_id and task.status = 'WAITING' and due_us is not null
    ) as path,
    make_timestamptz(least(resume_us, woken.woken_us)) as resume_at
from run
left join (
    select wake.run_id, min(woken_us) as woken_us
    from wake join run on run.run_id = wake.run_id
    where woken_us >= execution_us
    group by wake.run_id
) as woken on woken.run_id = run.run_id
where run.status = 'WAITING'
order by resume_at, run.run_id;

create or replace view events as
select
    name,
    make_timestamptz(created_us) as created_at,
    make_timestamptz(delivered_us) as delivered_at,
    coalesce(payload_shown, case when payload_kind in ('json', 'tagged') then payload end)
        as payload,
    coalesce(counts.runs, 0) as runs,
    event_id as id,
    source,
    make_timestamptz(deliver_us) as deliver_at,
    make_timestamptz(cancelled_us) as cancelled_at
from event
left join (
    select key, count(*) as runs from run where trigger = 'event' group by key
) as counts on counts.key = event_id
order by created_us, event_id;

create or replace view statuses as
select
    run_id,
    status,
    number,
    make_timestamptz(changed_us) as changed_at,
    label,
    state,
    data
from status
-- a snapshot that was recorded twice, because its process died in between, counts once
qualify row_number() over (partition by run_id, status, number order by changed_us desc) = 1
order by run_id, status, number;

create or replace view edits as
select
    run_id,
    path,
    action,
    make_timestamptz(edited_us) as edited_at,
    host,
    pid,
    notebook
from edit
order by run_id, edited_us;
