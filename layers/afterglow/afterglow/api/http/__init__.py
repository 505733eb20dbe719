"""One HTTP exchange: route, body, parameters, execution, errors, content encoding."""
