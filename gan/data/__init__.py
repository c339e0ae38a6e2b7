"""A name or a path → arrays, and what each sample is conditioned on."""
