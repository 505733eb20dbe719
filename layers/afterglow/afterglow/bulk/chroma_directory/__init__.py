"""Reads Chroma's directories of every generation (0.4 to 1.5) without Chroma, also damaged ones.

::

    tables          opens chroma.sqlite3: as it is, with its log, or recovered page by page
    sqlite_pages    rows of a damaged SQLite file, leaf page by leaf page
    sqlite_values   the values of a row
    sqlite_unused   the bytes of a SQLite file that its trees do not use
    row_shapes      the table of a recovered row, by its values
    label_map       index_metadata.pickle: which id has which label; nothing in it is executed
    label_order     which id has which label if that file is lost, by the order of insertion
    hnsw_files      header.bin, data_level0.bin, length.bin: which label has which vector
    descriptions    collections and their segments, metadata and configuration
    operations      embeddings_queue: the operations of one record, replayed
    parts           what an inventory consists of
    elements        which id of a segment has which label, and which label is where in its files
    inventory       for each record, where its vector is
    deleted_operations  deleted rows of the queue, in the bytes that SQLite does not use
    deleted_vectors the vectors of those rows, as part of an inventory
    contents        pages of records, read by an inventory
    source          a directory as the source of a migration
    rescue          the report, and what saves it as files

**Promise**

The directory is opened for reading only, and no byte of it changes: SQLite opens it as immutable; if it has a
write-ahead log or a rollback journal, a copy in a scratch folder is opened, as SQLite would write to the original.
Memory is bounded by the ids of one collection; vectors, documents and metadata are read in pages.

A directory that is sound yields what the Chroma that wrote it returns. Of a damaged one everything is read that is
still there, and everything that is not is counted.

**Protocol**

1. *Tables.* If SQLite finds no fault in the tables, they are queried directly. Otherwise every leaf page of the file is
   read, its rows are assigned to tables by their values, and a recovered copy with these rows is queried.
2. *Descriptions.* Collections by their rows. Vectors and records whose collection has no row get a collection named
   after their segment.
3. *Inventory*, for each collection, in the scratch database. The newest state of a record is: its row of `embeddings`,
   then its operations in the queue that Chroma's metadata segment had not applied. Its vector is that of its last
   operation in the queue, else that in the HNSW files: Chroma removes operations in their order, so those that are
   there are the newest. If rows of the queue may be lost, an operation that the files contain comes after the files.
   Every id of the tables, the queue and the label map gets exactly one row of the inventory, of one of these parts:

   | part | contents |
   |---|---|
   | records | records with a vector |
   | without vectors | records of which no vector was found: documents and metadata |
   | uncertain | records whose vector may be that of another one: see below |
   | leftovers | vectors that no record claims: without id, or of an id that the tables do not list |
   | deleted vectors | records that only deleted rows of the queue contain |

   If two processes write to one directory, each has labels of its own, and the files become a mixture of both. This is
   so if the label map lacks records whose operations the files claim to contain; then the only certain vectors are
   those of the queue. A label that is there twice makes the one record uncertain that has it.

   Rows that Chroma deleted from the queue are looked for only if a record has no vector, which then is that of its
   newest deleted operation; ids that the tables do not list may be those of records that a user deleted, so that part
   is filled only on demand. In recovered tables they may also be copies of rows that are lost: that part is filled, and
   operations that are newer than the files, of which Chroma deletes none, go back into the queue.
4. *Contents.* Pages of one part are read by the inventory, as often as needed.

Nothing is written but the scratch folder, which is removed at the end. *Crash: the scratch folder is left in the
system's folder for temporary files, until the next command removes it (`temporary`).*

The formats are those of chroma-core/chroma (`rust/sqlite/migrations`, `rust/segment/src/local_hnsw.rs`, and
`chromadb/segment/impl/vector/local_persistent_hnsw.py` of 0.4 to 0.6), chroma-core/hnswlib (`hnswalg.h`,
`persistDirty`) and https://www.sqlite.org/fileformat2.html.
"""
