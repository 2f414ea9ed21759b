"""The pages a person looks at, and the web process's application."""
