## heartbeat
curl -s http://localhost:8000/api/v1/heartbeat | jq
## create
curl -s -X POST http://localhost:8000/api/v1/collections \
-H "Content-Type: application/json" \
-d '{
"name": "knowledge_base",
"metadata": {"hnsw:space": "cosine"}
}' | jq
## id
COLLECTION_ID=$(curl -s http://localhost:8000/api/v1/collections/knowledge_base | jq -r '.id')
echo $COLLECTION_ID
## list
curl -s http://localhost:8000/api/v1/collections | jq
## names
curl -s http://localhost:8000/api/v1/collections | jq '.[].name'
## add
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/add" \
-H "Content-Type: application/json" \
-d '{
"ids": ["doc1", "doc2", "doc3", "doc4", "doc5", "doc6"],
"embeddings": [
[0.10, 0.90, 0.20, 0.80],
[0.15, 0.85, 0.25, 0.75],
[0.12, 0.88, 0.10, 0.82],
[0.80, 0.10, 0.70, 0.15],
[0.82, 0.12, 0.68, 0.18],
[0.50, 0.40, 0.60, 0.30]
],
"documents": [
"To restart nginx, run: sudo systemctl restart nginx",
"Check nginx status with: sudo systemctl status nginx",
"View nginx error logs at /var/log/nginx/error.log",
"Kubernetes deployments manage rolling updates across pods",
"HorizontalPodAutoscaler scales pod count based on CPU usage",
"Prometheus scrapes metrics from targets defined in prometheus.yml"
],
"metadatas": [
{"category": "nginx"},
{"category": "nginx"},
{"category": "nginx"},
{"category": "kubernetes"},
{"category": "kubernetes"},
{"category": "monitoring"}
]
}' | jq
## count
curl -s "http://localhost:8000/api/v1/collections/$COLLECTION_ID/count" | jq
## get one
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/get" \
-H "Content-Type: application/json" \
-d '{
"ids": ["doc1"],
"include": ["documents", "metadatas", "embeddings"]
}' | jq
## get some
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/get" \
-H "Content-Type: application/json" \
-d '{
"ids": ["doc1", "doc4", "doc6"],
"include": ["documents", "metadatas"]
}' | jq
## query
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/query" \
-H "Content-Type: application/json" \
-d '{
"query_embeddings": [[0.12, 0.88, 0.22, 0.78]],
"n_results": 3,
"include": ["documents", "metadatas", "distances"]
}' | jq
## query one category
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/query" \
-H "Content-Type: application/json" \
-d '{
"query_embeddings": [[0.12, 0.88, 0.22, 0.78]],
"n_results": 2,
"where": {"category": "kubernetes"},
"include": ["documents", "metadatas", "distances"]
}' | jq
## query all but one
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/query" \
-H "Content-Type: application/json" \
-d '{
"query_embeddings": [[0.12, 0.88, 0.22, 0.78]],
"n_results": 3,
"where": {"category": {"$ne": "kubernetes"}},
"include": ["documents", "metadatas", "distances"]
}' | jq
## query one or the other
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/query" \
-H "Content-Type: application/json" \
-d '{
"query_embeddings": [[0.12, 0.88, 0.22, 0.78]],
"n_results": 3,
"where": {
"$or": [
{"category": {"$eq": "nginx"}},
{"category": {"$eq": "monitoring"}}
]
},
"include": ["documents", "metadatas", "distances"]
}' | jq
## update
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/update" \
-H "Content-Type: application/json" \
-d '{
"ids": ["doc1", "doc2"],
"metadatas": [
{"category": "nginx", "reviewed": true},
{"category": "nginx", "reviewed": true}
]
}' | jq
## get the updated
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/get" \
-H "Content-Type: application/json" \
-d '{
"ids": ["doc1"],
"include": ["metadatas"]
}' | jq
## delete by id
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/delete" \
-H "Content-Type: application/json" \
-d '{"ids": ["doc6"]}' | jq
## delete by filter
curl -s -X POST "http://localhost:8000/api/v1/collections/$COLLECTION_ID/delete" \
-H "Content-Type: application/json" \
-d '{"where": {"category": "monitoring"}}' | jq
## count what is left
curl -s "http://localhost:8000/api/v1/collections/$COLLECTION_ID/count" | jq
## drop
curl -s -X DELETE http://localhost:8000/api/v1/collections/knowledge_base | jq
## list nothing
curl -s http://localhost:8000/api/v1/collections | jq
