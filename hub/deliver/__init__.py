"""Stage 4: a delivery becomes an outbound call: attempts, retry, dead letter, links."""
