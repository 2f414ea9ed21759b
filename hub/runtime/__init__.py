"""Settings, embedded servers, supervision, and the processes' own frames."""
