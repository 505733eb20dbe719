"""What a record may hold: values, keys and sparse vectors, validated once for every input."""
