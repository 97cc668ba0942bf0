"""Ways to tune a backbone, one file per method; the file name is the method's name."""
