"""arq: the job queue. Jobs only say where work is waiting; the database owns the work."""
