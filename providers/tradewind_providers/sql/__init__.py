"""SQL databases: what their hooks have in common, and the operators and sensors that work with any of them."""
