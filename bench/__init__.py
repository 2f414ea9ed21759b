"""What performance claims are measured with: `make bench`, side by side, ratios first."""
