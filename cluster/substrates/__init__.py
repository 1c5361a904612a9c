"""What a cluster can be raised on: a folder a substrate, and one line each in ``registry``."""
