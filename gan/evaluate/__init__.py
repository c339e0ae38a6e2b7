"""How near generated samples are to real ones, in numbers and in words."""
