"""Bulk transfer: files into collections, collections into files, Chroma's data into Afterglow, databases into dumps.

::

    import
      sources           where a file is: a path, or an object of a bucket
      sidecar           `<file>.import.json`: the meaning of a file's columns, and the collection to create
      formats/          JSON Lines, CSV, Excel, Parquet, npy: reader and writer of each; decompression and lines
      databases/        collections of Qdrant, pgvector, LanceDB and S3 Vectors as sources of rows
      row_values        values of one row, or the reason for which the row is rejected
      row_chunks        rows as batches for the log
      planner           columns, dimension and ranges of a file: the `Plan`
      types             `Plan`, `FileRange`, `ImportReport` and other values of an import
      import_store, import_layout    progress: items, and the objects below `imports/.status/`
      sink, http_sink   where batches go: an engine of this process, or a server over HTTP
      range_import      one range of a plan
      import_file       all ranges of a file: the command, and the worker of the watched directory
      import_messages   the importer's queue: files put into a bucket, and ranges
      directory_watcher, import_worker    files put into a directory, and the process that imports them
      watched_folder, finished_files      the files of that directory, and where they go after their import
      contained_paths, mounts             opening them without following anything out of the directory
    export and migrate
      endpoint          the interface of both ends: list, read and create collections, add records
      local_endpoint    an endpoint over the stores of a directory or an account
      http_endpoint     an endpoint over HTTP: this server or Chroma; `http_connection` is its connection
      chroma_server     Chroma's directory, served by Chroma's own program
      chroma_directory/ Chroma's directory, read without Chroma, also if it is damaged
      open_endpoints    the endpoint for a command's options
      export            a collection to a file; `atomic_file` writes it completely or not at all
      migrate           all collections of one endpoint to another
    reembed/            a collection to another embedding function, while it is used
    dump/               a database to a directory or a bucket's prefix, and back

**Import**

1. *Plan.* Inspect the file: format, columns (from the sidecar, else by convention, from a sample), dimension. Create
   the collection if it does not exist. Split the file into ranges. Store the plan as an object if there is none: its id
   is a hash of the file's name, size and time, so every planner of the same file finds the same plan.
   *Crash after: a plan without workers; its message is delivered again, or the command is run again.*
2. *Begin.* Put an item for each range, if there is none: the position within the range. *Crash midway: step 2 is
   repeated.*
3. *Import* the ranges, anywhere, in any order, with any number of workers:
   a. read the range's item, and the file from its position on;
   b. put the rejected rows, each with its reason, as an object named by their position in the range; *crash after: the
      same object is put again;*
   c. append the batch to the collection's log, and in the same transaction advance the range's item, on condition that
      it still has the version read in a. *Crash before: an orphaned payload. After: both are durable.*
   The transaction makes each row count exactly once. If a message is delivered twice, or an invocation presumed dead
   still runs, only one of two workers on a range can append each batch; the other continues from the new position. No
   batch is ever appended again later, over what a client wrote in between.
4. *Finish.* When every range is done, join the rejected rows, then put the report, if there is none. *Crash before:
   the next worker that takes up any range finds all ranges done, and finishes.*

An import **fails** when it cannot continue (the file is damaged, a limit is exceeded, too many rows are rejected, the
collection was deleted): an item records the reason, every range reads it before each batch, and the report has it.

Over HTTP there is no such transaction: the progress is written after the request. An import interrupted between the two
sends its last batch again.

Rows are upserted. Of two rows with one id in one file, the later one wins only if both are in one range.

**Export**

1. Open the collection: in a directory or an account as one snapshot, at one point in time; over HTTP page by page, each
   page at its own point in time.
2. Write the records in insertion order, a page at a time, to a temporary file beside the target.
   *Crash: the temporary file is left (`.….unfinished`); nothing reads it, and it may be removed.*
3. Sync it, and write the sidecar, also atomically. *Crash after: a sidecar without a file, replaced by the next
   export.*
4. Rename the temporary file. *Crash after: the export is complete.*

**Migration** (`migrate`)

1. For each tenant, database and collection: create it if it does not exist, with its configuration, schema and
   metadata. *Crash after: an empty collection.*
2. Find the resume point: the ids of the target must be the first ids of the source, in insertion order. Other ids: the
   collection belongs to somebody else, and the migration ends. *So no file keeps state, and an interrupted migration is
   run again.*
3. Add the records that follow, page by page, in insertion order; one page is one write of the target.
   *Crash midway: whole pages are present or not; step 2 finds the first missing one. A write whose response was lost
   may be sent again: an add leaves existing records alone.*
4. Compare counts, configuration, and a sample of records spread over the collection. Differences are reported.

The source should not be written meanwhile: changes behind the position reached are not seen.
"""
