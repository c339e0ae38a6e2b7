"""Pictures, films and plots; no idea of a GAN in them."""
