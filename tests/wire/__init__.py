"""The wire: every route, status and text of the contract."""
