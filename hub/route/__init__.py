"""Stage 3: an event meets the routes and becomes deliveries."""
