"""Texts to vectors: the embedding functions that collections name, run by the server.

A write is completed before it reaches the log, which therefore holds vectors and replays without a model:

1. The API parses a write whose records may lack an embedding but have a document.
2. `completion` finds the collection's function in its schema, and embeds what is missing; sparse indexes with a source
   get their BM25 vectors. *Any failure until here: nothing was written, and the response says so.*
3. The completed batch takes the write path of every other batch.

::

    function     what a stored configuration names: a function's name and its configuration
    registry     which functions the operator allows, and their embedders
    service, admission    query cache, usage, how many texts may wait; the face of this package
    completion   batches without some of their vectors

    embedder     the port of an embedding model
    onnx_process, onnx_worker, onnx_session, onnx_model, model_archive    a local model, in a process of its own
    invoked_model, bucket_model    the same model in a Lambda function of its own: its callers, and itself
    remote, http_json, bedrock    models behind HTTP, and those of AWS

    reranker, cross_encoder    scores of documents for a query, by a model in another process

    bm25, murmur3, stopwords    sparse vectors of words
"""
