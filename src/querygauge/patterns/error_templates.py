"""
What databases and their drivers say when a statement fails, as data: each line is one message.

`redaction` keeps a name only where one of these messages, as a whole, says that it is one. Slots:

- `{value}` is anything, and goes;
- `{asked_name}` and the like are names the database was asked for and does not vouch for: of a table that does not
  exist, or an alias. They may come from a parameter (`nextval($1)`), so what the statement does not say goes;
- `{name}`, `{names}` (`a.b.c`), `{list}` (`a.b, a.c`), `{quoted}` (`"a"."b"`), `{ticked}` (the same in backticks),
  `{ticked_list}` and `{number}` stay: these are names of constraints, and of what else is there;
- `{odd}` is a name that does not look like one, and goes;
- of `{text}`, words of the databases' own vocabulary stay;
- `{line}` ends a line;
- a number in parentheses at the end is SQL Server's, which only some drivers append.

A name or number between two values could be a part of either, so it is written as a value here. A message that begins
as one of what is asked for does may be that one's name and more, so what it names is asked for too.
"""

from typing import Final

__all__ = ["TEMPLATES"]

# By family. The last lines of PostgreSQL begin with any text, so that family is the last to be tried.
TEMPLATES: Final = {
    "sqlite": """
        near "{value}": syntax error
        unrecognized token: "{value}"
        UNIQUE constraint failed: {list}
        NOT NULL constraint failed: {list}
        CHECK constraint failed: {name}
        no such table: {asked_names}
        no such column: {asked_names}
        no such function: {asked_name}
        no such index: {asked_names}
        no such view: {asked_names}
        no such trigger: {asked_names}
        no such module: {asked_name}
        no such collation sequence: {asked_name}
        table {names} has no column named {asked_name}
        table {names} has {number} columns but {number} values were supplied
        {number} values for {number} columns
        table {names} already exists
        index {names} already exists
        view {names} already exists
        trigger {names} already exists
        there is already a table named {name}
        there is already an index named {name}
        duplicate column name: {asked_name}
        ambiguous column name: {asked_names}
        cannot store {text} value in {text} column {names}
        Error binding parameter {number}: type '{text}' is not supported
        You did not supply a value for binding parameter :{name}.
        Incorrect number of bindings supplied. The current statement uses {number}, and there are {number} supplied.
    """,
    "mysql": """
        Duplicate entry '{value}' for key '{names}'
        Column '{names}' cannot be null
        Field '{name}' doesn't have a default value
        Data too long for column '{name}' at row {number}
        Data truncated for column '{name}' at row {number}
        Out of range value for column '{name}' at row {number}
        Incorrect {text} value: '{value}' for column {ticked} at row {number}
        Incorrect {text} value: '{value}' for column '{name}' at row {number}
        Incorrect {text} value: '{value}' for function {name}
        Incorrect {text} value: '{value}'
        Truncated incorrect {text} value: '{value}'
        You have an error in your SQL syntax; {text} to use near '{value}' at line {number}
        Unknown column '{asked_names}' in '{text}'
        Unknown column '{odd}' in '{text}'
        Column '{asked_names}' in {text} is ambiguous
        Column '{asked_names}' in '{text}' is ambiguous
        Column '{asked_name}' specified twice
        Column count doesn't match value count at row {number}
        Table '{asked_names}' doesn't exist
        Table '{names}' already exists
        Unknown table '{asked_names}'
        Unknown database '{asked_name}'
        Unknown system variable '{asked_name}'
        Variable '{name}' can't be set to the value of '{value}'
        Duplicate column name '{asked_name}'
        Duplicate key name '{asked_name}'
        Can't DROP '{asked_name}'; check that column/key exists
        Can't DROP {text} {asked_ticked}; check that it exists
        CONSTRAINT {ticked} failed for {ticked}
        Check constraint '{name}' is violated.
        Cannot add or update a child row: a foreign key constraint fails ({ticked}, CONSTRAINT {ticked} FOREIGN \
KEY ({ticked_list}) REFERENCES {ticked} ({ticked_list}){text})
        Cannot delete or update a parent row: a foreign key constraint fails ({ticked}, CONSTRAINT {ticked} FOREIGN \
KEY ({ticked_list}) REFERENCES {ticked} ({ticked_list}){text})
        FUNCTION {asked_names} does not exist
        PROCEDURE {asked_names} does not exist
        PROCEDURE {names} already exists
        TRIGGER {names} already exists
        Subquery returns more than 1 row
        Regex error '{value}'
        Access denied for user '{value}'@'{value}' (using password: {text})
        Access denied for user '{value}'@'{value}' to database '{asked_name}'
        {text} command denied to user '{value}'@'{value}' for table '{asked_name}'
        {text} command denied to user '{value}'@'{value}' for table {asked_ticked}
        Can't connect to MySQL server on '{value}' ([Errno {number}] {text})
        Lost connection to MySQL server during query ([Errno {number}] {text})
    """,
    "mssql": """
        Violation of {text} constraint '{name}'. Cannot insert duplicate key in object '{names}'. The duplicate key \
value is ({value}). (2627)
        Violation of {text} constraint '{name}'. Cannot insert duplicate key in object '{names}'. (2627)
        Cannot insert duplicate key row in object '{names}' with unique index '{name}'. The duplicate key value is \
({value}). (2601)
        The {text} statement conflicted with the {text} constraint "{name}". The conflict occurred in database \
"{name}", table "{names}", column '{name}'. (547)
        The {text} statement conflicted with the {text} constraint "{name}". The conflict occurred in database \
"{name}", table "{names}". (547)
        Cannot insert the value NULL into column '{name}', table '{names}'; column does not allow nulls. {text} \
fails. (515)
        Cannot insert explicit value for identity column in table '{names}' when IDENTITY_INSERT is set to OFF. (544)
        String or binary data would be truncated in table '{names}', column '{name}'. Truncated value: '{value}'. (2628)
        String or binary data would be truncated. (8152)
        Conversion failed when converting the {text} value '{value}' to data type {text}. (245)
        Conversion failed when converting date and/or time from character string. (241)
        The conversion of the {text} value '{value}' overflowed an {text} column. (248)
        Error converting data type {text} to {text}. (8114)
        Arithmetic overflow error converting {text} to data type {text}. (8115)
        Arithmetic overflow error for data type {text}, value = {value}. (220)
        Divide by zero error encountered. (8134)
        Invalid object name '{asked_names}'. (208)
        Invalid column name '{asked_name}'. (207)
        Ambiguous column name '{asked_name}'. (209)
        Could not find stored procedure '{asked_names}'. (2812)
        The multi-part identifier "{asked_names}" could not be bound. (4104)
        Column '{asked_names}' is invalid in the select list because it is not contained in either an aggregate \
function or the GROUP BY clause. (8120)
        There is already an object named '{names}' in the database. (2714)
        The {text} permission was denied on the object '{names}', database '{name}', schema '{name}'. (229)
        Incorrect syntax near the keyword '{text}'. (156)
        Incorrect syntax near '{value}'. (102)
        Unclosed quotation mark after the character string '{value}'. (105)
        Transaction (Process ID {value}) was deadlocked on {text} resources with another process and has been chosen \
as the deadlock victim. Rerun the transaction. (1205)
        Lock request time out period exceeded. (1222)
        Query timeout expired (0)
        Login timeout expired (0)
        Login failed for user '{value}'. (18456)
        Cannot open database "{asked_name}" requested by the login. The login failed. (4060)
        The SQL contains {number} parameter markers, but {number} parameters were supplied
        DB-Lib error message {number}, severity {number}:{line}Unable to connect: Adaptive Server is unavailable or \
does not exist
        DB-Lib error message {number}, severity {number}:{line}Adaptive Server connection timed out
    """,
    "oracle": """
        ORA-00001: unique constraint ({names}) violated on table {names} columns ({list})
        ORA-00001: unique constraint ({names}) violated
        ORA-02290: check constraint ({names}) violated
        ORA-02291: integrity constraint ({names}) violated - parent key not found
        ORA-02292: integrity constraint ({names}) violated - child record found
        ORA-01400: cannot insert NULL into ({quoted})
        ORA-01407: cannot update ({quoted}) to NULL
        ORA-12899: value too large for column {quoted} (actual: {value}, maximum: {number})
        ORA-00904: {asked_quoted}: invalid identifier
        ORA-00942: table or view {asked_quoted} does not exist
        ORA-04043: object {asked_names} does not exist
        ORA-04088: error during execution of trigger '{names}'
        ORA-06550: line {number}, column {number}:{line}PLS-00201: identifier '{asked_names}' must be declared
        ORA-06550: line {number}, column {number}:{line}PLS-00306: wrong number or types of arguments in call to \
'{names}'
        DPY-3002: Python value of type "{name}" is not supported
        DPY-4008: no bind placeholder named ":{name}" was found in the SQL text
        DPY-4009: {number} positional bind values are required but {number} were provided
        DPY-4010: a bind variable replacement value for placeholder ":{name}" was not provided
        DPY-4024: call timeout of {number} ms exceeded
        DPY-6001: Service "{value}" is not registered with the listener at host "{value}" port {value}. (Similar to \
ORA-12514)
        DPY-6005: cannot connect to database (CONNECTION_ID={value}).
    """,
    "postgresql": """
        duplicate key value violates unique constraint "{name}"{line}DETAIL:  Key ({list})=({value}) already exists.
        duplicate key value violates unique constraint "{name}"
        could not create unique index "{name}"{line}DETAIL:  Key ({list})=({value}) is duplicated.
        could not create unique index "{name}"
        insert or update on table "{name}" violates foreign key constraint "{name}"{line}DETAIL:  Key \
({list})=({value}) is not present in table "{name}".
        insert or update on table "{name}" violates foreign key constraint "{name}"{line}DETAIL:  Key \
({list})=({value}) is not present in table "{odd}".
        insert or update on table "{name}" violates foreign key constraint "{name}"
        update or delete on table "{name}" violates foreign key constraint "{name}" on table "{name}"{line}DETAIL:  \
Key ({list})=({value}) is still referenced from table "{name}".
        update or delete on table "{name}" violates foreign key constraint "{name}" on table "{name}"{line}DETAIL:  \
Key ({list})=({value}) is still referenced from table "{odd}".
        update or delete on table "{name}" violates foreign key constraint "{name}" on table "{name}"
        conflicting key value violates exclusion constraint "{name}"{line}DETAIL:  Key ({list})=({value}) conflicts \
with existing key ({value}).
        conflicting key value violates exclusion constraint "{name}"
        null value in column "{name}" of relation "{name}" violates not-null constraint{line}DETAIL:  Failing row \
contains ({value}).
        null value in column "{name}" of relation "{name}" violates not-null constraint
        new row for relation "{name}" violates check constraint "{name}"{line}DETAIL:  Failing row contains ({value}).
        new row for relation "{name}" violates check constraint "{name}"
        new row violates row-level security policy for table "{name}"
        check constraint "{name}" of relation "{name}" is violated by some row
        value for domain {names} violates check constraint "{name}"
        domain {names} does not allow null values
        relation "{asked_names}" does not exist
        relation "{asked_names}" already exists
        column "{asked_names}" does not exist
        column {asked_names} does not exist
        column "{asked_name}" of relation "{asked_names}" does not exist
        column "{asked_name}" of relation "{asked_names}" already exists
        column "{asked_names}" must appear in the GROUP BY clause or be used in an aggregate function
        column "{asked_name}" is of type {text} but expression is of type {text}
        column reference "{asked_name}" is ambiguous
        missing FROM-clause entry for table "{asked_name}"
        invalid reference to FROM-clause entry for table "{asked_name}"
        table name "{asked_name}" specified more than once
        function {asked_names}({text}) does not exist
        function {asked_names}({text}) is not unique
        type "{asked_names}" does not exist
        schema "{asked_name}" does not exist
        database "{asked_name}" does not exist
        permission denied for table {name}
        permission denied for view {name}
        permission denied for schema {name}
        permission denied for sequence {name}
        must be owner of table {name}
        cannot insert a non-DEFAULT value into column "{name}"
        there is no parameter ${number}
        could not determine data type of parameter ${number}
        unrecognized configuration parameter "{asked_names}"
        invalid value for parameter "{names}": "{value}"
        value too long for type {text}({number})
        value "{value}" is out of range for type {text}
        connection failed: connection to server at "{value}", port {value} failed: {text}
        cannot adapt type '{text}' using placeholder '{value}' (format: {text})
        the query has {number} placeholders but {number} parameters were passed
        the server expects {number} arguments for this query, {number} was passed
        the server expects {number} arguments for this query, {number} were passed
        invalid input for query argument ${number}: {value}
        invalid input for query argument ${number} in element #{value} of executemany() sequence: {value}
        {text} at or near "{value}"
        {text}: "{value}"
    """,
}
