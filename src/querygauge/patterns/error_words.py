"""
The words of error messages: of PostgreSQL, MySQL, MariaDB, SQLite, SQL Server, Oracle and their drivers.

What is not in here is taken for a value by `redaction`. Words that are likelier to be somebody's data than a
database's speech (given names, places, months) stay out, whatever the messages hold.
"""

from typing import Final

from querygauge.patterns.words import words

__all__ = ["ERROR_WORDS"]

ERROR_WORDS: Final = words(
    """
    % * - -- / < = => > @ _ a aborted accept accepting access acquire action active adapt add addresses
    administrator after aggregate alias all allowed already alter ambiguous an and and/or another any appear appears
    applied apply are argument arguments arithmetic array arrays as ascii assign assigned assignment at attempt
    attempted attribute authentication authorization authorized auto autocommit available backup bad balanced base
    be because been before begin being between bigint binary bind binding bindings binds bit blob block blocks
    boolean both bound broken buffer busy but by byte bytea bytes cache call called can can't cancel canceled
    canceling cancelled cannot cardinality case cast catalog change changed channel char character characters check
    child chosen clause clauses client clob close closed closing coerce collate collation column columns command
    commands commit committed communication compatible compiled concurrent concurrently condition configuration
    conflict conflicted conflicting conflicts conn connect connected connecting connection connections constant
    constraint constraints contain contained containing contains context conversion convert converted copy
    corresponds corrupt corrupted could couldn't count create created cross current currently cursor cursor's
    cursors cycle data database datatype datatypes date date/time datetime datetime2 datetimeoffset day deadlock
    deadlocked decimal declared default deferrable deferred define defined definition delete deleted denied
    dependent depends description descriptor destination detected diagnostics dict did digit digits dimension
    dimensions disallowed disconnect disk distinct distributed divide division do document does doesn't domain don't
    double driver drop dropped dtp due duplicate duplicated during dynamic each either element elements empty
    encoded encoding encountered end end-of-file ended engine enough entry enum equal errcode errno error errors
    escape evaluate even exact exceed exceeded exceeds except exception exclusion exclusive execute executed
    executemany executing execution exist existing exists expected expects expired explicit expression expressions
    extend extension external extra fail failed fails failure fatal feature fetch fetched field fields file first
    float floating for foreign format found from full function functions future generated get given greater group
    grouping gss had handle has have having held hexadecimal host hostname id identified identifier identity idle if
    ignored immediate implemented in inaccessible inactive inappropriate incompatible incomplete inconsistent
    incorrect indeterminate index indexes indicator inet infinite inner input insert inserted instance insufficient
    int int16 int32 int64 integer integrity interface intermediate internal interpreted interrupted interval into
    invalid invocation io is isn't isolation it items join json jsonb key keys keyword kill killed large larger last
    lastrowid left length less level like limit line link links list listener literal literals lob local locator
    lock locked locks log login logon long lookup lost made mal malformed manual many mariadb mariadb's marker
    markers match matching max max_statement_time maximum maximum_statement_time may memory message method mismatch
    missing mode modify modifying module month more most ms multi-part must mysql mysql's name named names nchar
    nclob near necessary negative nested network never new no non non-null none nonetype not not-null not-nullable
    nowait ntext null number numeric nvarchar nvarchar2 object object's objects occurred of offset old on one only
    open operand operation operational operations operator option options or order other out outer outside over
    overflow overflowed overlapping owner package packet page parameter parameters parent parentheses parse parser
    parsing partition passed password path pending per period permission permissions permitted pipeline pl/pgsql
    placeholder placeholders point pool port portal position positional possible postgresql postgresql's precision
    prepare prepared primary privilege privileges procedure process program programming prohibited protocol provided
    provider queries query quota quotation quoted raise range raw reached read read-only readonly real received
    recoverable recovery recursion recursive reference referenced references referencing referential refused regex
    regexp register registered regular rejected relation relations release released remaining remote remove renamed
    repeated repertoire replace representation request requested require required requires rerun reserved reset
    resolve resource resources response restart restarting restrict result results resume return returned returning
    returns right role rollback routine row rowid rows rowversion rule same savepoint savepoints scalar scale schema
    schemas script second segment segments select self sequence serializable serialization serialize server service
    session sessions set shared should shut shutdown single size smalldatetime smallint snapshot socket some space
    specification specified sql sql_variant sqlite sqlstate ssl standby starting stat state statement statement(s)
    statements still stopped storage store stored str string strings subquery subscript substring such supplied
    supply support supported synonym syntax system table tables tablespace tablespaces target tcp temporary term
    terminated terminating text than that the their there thick thin this thread time timed timeout timestamp
    timezone tinyint to token too transaction transactions translate trigger trigger's triggered truncate truncated
    truncation try trying tuple type types unable unavailable unbound unclosed undefined undo unexpected unicode
    union unique uniqueidentifier unknown unlock unnamed unrecognized unsigned unsupported unterminated up update
    updated upgrade uppercase usage use used user username/password uses using utf-8 utf8 uuid valid value values
    varbinary varchar varchar2 variable varying version view violate violated violates violation wait waiting
    warning was were when where which while will with within without work write writing wrong xid xml year yes you
    your zero zone |
    """
)
