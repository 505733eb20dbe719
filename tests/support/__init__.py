"""What the black-box tests and the bench share: server processes and a bare HTTP client."""
