"""One module a verb. The only place with stdout, environment and exit codes."""
