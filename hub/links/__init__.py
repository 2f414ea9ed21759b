"""The graph of "this customer's report is that piece of work". Nodes are things in tools."""
