"""The zoo: small programs with a mistake that people make, each with its mended twin."""
