"""Reading: Dockerfiles, the shell inside them, copied scripts and the build context, as models with spans."""
