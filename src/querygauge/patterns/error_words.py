"""
The words of error messages: of PostgreSQL, MySQL, MariaDB, SQLite and their drivers.

What is not in here is taken for a value by `redaction`. Words that are likelier to be somebody's data than a
database's speech (given names, places, months) stay out, whatever the messages hold.
"""

from typing import Final

from querygauge.patterns.words import words

__all__ = ["ERROR_WORDS"]

ERROR_WORDS: Final = words(
    """
    % * - -- / < = => > @ _ a aborted accept accepting access action active adapt add administrator after aggregate
    alias all allowed already alter ambiguous an and any appear appears applied apply are argument arguments array
    arrays as ascii assign assigned at attempt attempted attribute authentication authorized auto autocommit
    available backup bad balanced base be because been before begin between bigint binary bind binding bindings bit
    blob block blocks boolean both bound broken buffer busy but by byte bytea bytes cache called can can't cancel
    canceled canceling cancelled cannot case cast change changed char character characters check child clause
    clauses client close closed closing coerce collate collation column columns command commands commit committed
    compatible concurrent concurrently condition configuration conflict conflicting conflicts conn connect connected
    connecting connection connections constant constraint constraints contain contains context conversion convert
    converted copy corresponds corrupt could couldn't count create created cross current currently cursor cursor's
    cycle data database datatype date date/time datetime day deadlock decimal declared default deferrable deferred
    define defined definition delete deleted denied dependent depends destination detected dict did digit digits
    dimension dimensions disallowed disconnect disk distinct division do does doesn't domain don't double drop
    dropped due duplicate duplicated during each either element elements empty encoded encoding end ended engine
    enough entry enum equal errcode errno error errors escape evaluate even exceed exceeded exceeds except exclusion
    exclusive execute executed executemany executing execution exist existing exists expected expects explicit
    expression expressions extension external extra fail failed fails failure fatal feature fetch fetched field
    fields file first float for foreign format found from full function functions future generated get given group
    grouping gss had handle has have having hexadecimal hostname id identifier idle if ignored immediate implemented
    in inaccessible inactive incompatible incomplete inconsistent incorrect index indexes inet infinite inner input
    insert inserted instance insufficient int int16 int32 int64 integer interface internal interpreted interrupted
    interval into invalid io is isn't isolation it join json jsonb key keys keyword kill killed large last lastrowid
    left length less level like limit line list literal literals local lock locked locks log long lost made mal
    malformed manual many mariadb mariadb's match matching max max_statement_time maximum maximum_statement_time may
    memory message method mismatch missing mode modify module more most must mysql mysql's name named names near
    necessary negative nested never new no non non-null none nonetype not not-null null number numeric object
    object's objects of offset old on one only open operand operation operations operator option options or order
    other out outer outside over overflow overlapping owner packet page parameter parameters parent parentheses
    parse parser parsing partition passed password path pending per permission permissions permitted pipeline
    pl/pgsql placeholder placeholders pool port portal position positional possible postgresql postgresql's
    precision prepare prepared primary privilege privileges procedure process protocol provided queries query quoted
    raise range reached read read-only readonly real received recovery recursion recursive reference referenced
    references referencing referential refused regex regexp regular rejected relation relations release released
    remaining remote remove renamed repeated replace requested require required requires reserved reset resource
    resources response restart restarting restrict result results return returned returning returns right role
    rollback row rows rule savepoint savepoints scale schema schemas script second select self sequence serializable
    serialize server session set shared should shut shutdown single size smallint snapshot socket some space
    specified sql sqlite sqlstate ssl standby starting stat state statement statements still stopped storage store
    str string strings subquery substring such supplied supply support supported syntax system table tables target
    temporary term terminated terminating text than that the their there this thread time timed timeout timestamp
    timezone tinyint to token too transaction transactions trigger trigger's triggered truncate truncated try trying
    tuple type types unable unbound undefined unexpected unicode union unique unknown unlock unnamed unrecognized
    unsigned unsupported unterminated up update updated upgrade uppercase usage use used user uses using utf-8 utf8
    uuid valid value values varchar variable varying version view violate violated violates violation waiting was
    were when where which while will with within without work write writing wrong xid xml yes you your zero zone
    """
)
