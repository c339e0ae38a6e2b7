"""Images, image grids, plots and animations, without any idea of a GAN."""
